"""Write docs/errors.md from the docstrings of ntklab/errors.py; tests/test_errors.py checks that they agree.

python docs/_site/errors_page.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from ntklab import errors

PAGE = Path(__file__).parents[1] / "errors.md"
HEAD = """# Errors

Every error that ntklab raises on purpose is one of these classes, and each message says what was given, what is
needed and what to do. A traceback, and the `ntklab` command, name the class before the message: that is the heading to
look for here. The same text is in `help(ntklab.errors.SpecError)`.

Symptoms rather than classes: [troubleshooting](troubleshooting.md).

<!-- made by docs/_site/errors_page.py from ntklab/errors.py -->
"""


def classes() -> list[type]:
    """Return the classes of ntklab.errors in the order of the file."""
    return [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]


def section(cls: type) -> str:
    """Return one class as a section: what it means, typical causes, what to do."""
    summary, causes, remedies = re.split(r"\n*(?:Causes|Remedies)\n-+\n", inspect.getdoc(cls) or "")
    parents = " and ".join(f"`{base.__name__}`" for base in cls.__bases__)
    parts = (
        f"## {cls.__name__}",
        summary,
        f"Derives from {parents}.",
        f"**Causes.** {causes}",
        f"**What to do.** {remedies}",
    )
    text = "\n\n".join(parts).replace("``", "`").replace("**Causes.** -", "**Causes.**\n\n-")
    return re.sub(r"docs/((?:guides/)?[\w-]+\.md)", r"[\1](\1)", text)


def page() -> str:
    """Return the text of docs/errors.md."""
    return HEAD + "\n" + "\n\n".join(section(cls) for cls in classes()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
