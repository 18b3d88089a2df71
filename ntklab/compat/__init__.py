"""Programs written for other libraries, translated onto this one; each package here has the names of the original."""
