"""The form of every message about a data file, and reading one without trusting its size."""

from pathlib import Path

from ntklab.errors import DataError


def fault(path: Path, found: str, expected: str, remedy: str) -> DataError:
    """Return the error that names the file, what it holds, what it should hold, and what to do."""
    return DataError(f"{path}: found {found}; expected {expected}. {remedy}")


def file_size(path: Path, expected: str, remedy: str) -> int:
    """Return the size of a regular file in bytes."""
    try:
        # A pipe or device has no size to check and may never end.
        if path.is_file():
            return path.stat().st_size
        found = "something that is no regular file" if path.exists() else "no such file"
    except OSError as error:
        found = f"a file that cannot be read ({error})"
    raise fault(path, found, expected, remedy)


def read_bounded(path: Path, most: int, expected: str, remedy: str) -> bytes:
    """Read a regular file of at most `most` bytes, so that no file can exhaust the memory."""
    size = file_size(path, expected, remedy)
    if size > most:
        raise fault(path, f"{size:,} bytes", f"{expected}, in at most {most:,} bytes", remedy)
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise fault(path, f"a file that cannot be read ({error})", expected, remedy) from error


def read_class_names(path: Path, names: list[str], expected_number: int, remedy: str) -> tuple[str, ...]:
    """Check that a file names each class once."""
    if len(names) != expected_number or len(set(names)) != expected_number or not all(names):
        shown = ", ".join(map(repr, names[:12])) or "none"
        found = f"{len(names)} class names ({shown})"
        raise fault(path, found, f"{expected_number} different class names", remedy)
    return tuple(names)
