"""The UCI classification sets of Fernandez-Delgado et al. 2014, in the layout of their public archive."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ntklab.errors import DataError

Rows = Int[np.ndarray, " r"]


@dataclass(frozen=True, eq=False)
class UciSet:
    """One data set with its published splits.

    Attributes
    ----------
    name : str
    x : array of shape (n, d)
        Features as the archive has them, standardised by its authors.
    y : array of shape (n,)
        Classes 0 .. n_classes - 1.
    n_classes : int
    split : (train, validation)
        Rows for choosing hyper-parameters: two halves (``conxuntos.dat``).
    folds : tuple of (train, test)
        Rows of the four folds (``conxuntos_kfold.dat``).
    """

    name: str
    x: Float[np.ndarray, "n d"] = field(repr=False)
    y: Int[np.ndarray, " n"] = field(repr=False)
    n_classes: int
    split: tuple[Rows, Rows] = field(repr=False)
    folds: tuple[tuple[Rows, Rows], ...] = field(repr=False)


def uci_sets(data: str | os.PathLike[str], largest: int = 5000) -> dict[str, int]:
    """Return the sets that the study of Arora et al. 2019b takes, with their numbers of points, fewest first.

    Those with at most ``largest`` points and no separate test file: 90 of the archive's 121.

    Parameters
    ----------
    data : path
        The directory with one folder per set (``NAME/NAME.txt``, ``NAME/NAME_R.dat``, ``NAME/conxuntos.dat``,
        ``NAME/conxuntos_kfold.dat``), its parent with that directory as ``data``, or a zip of either.

    Raises
    ------
    DataError
        There is no such set.
    """
    sizes = {}
    for folder in _root(data).iterdir():
        if (folder / f"{folder.name}.txt").is_file():
            about = _about(folder)
            if "n_patrons2" not in about and _count(about, "n_patrons1", folder) <= largest:
                sizes[folder.name] = _count(about, "n_patrons1", folder)
    if not sizes:
        raise DataError(f"{data} has no UCI set: a folder NAME with NAME.txt, or a folder data of such folders.")
    return dict(sorted(sizes.items(), key=lambda item: (item[1], item[0])))


def load_uci(data: str | os.PathLike[str], name: str) -> UciSet:
    """Return one set of the archive; ``data`` as for :func:`uci_sets`.

    Raises
    ------
    DataError
        A file is missing, or holds other numbers than it announces.
    """
    folder = _root(data) / name
    about = _about(folder)
    n, d, n_classes = (_count(about, key, folder) for key in ("n_patrons1", "n_entradas", "n_clases"))
    file = folder / about.get("fich1", f"{name}_R.dat")
    lines = _lines(file)[1:]
    try:
        table = np.array([line.split() for line in lines], np.float64)
    except ValueError as error:
        raise DataError(f"{file}: not a table of numbers: {error}. Get the archive again.") from None
    if table.shape != (n, d + 2) or not np.isfinite(table).all():
        raise DataError(f"{file} needs {n} rows of a number, {d} features and a class, finite; found {table.shape}.")
    y = table[:, -1].astype(np.int64)
    if (y != table[:, -1]).any() or y.min() < 0 or y.max() >= n_classes:
        raise DataError(
            f"{file}: classes are 0 .. {n_classes - 1}, found {y.min()} .. {y.max()}. Get the archive again."
        )
    split = _splits(folder / "conxuntos.dat", n)
    folds = _splits(folder / "conxuntos_kfold.dat", n)
    return UciSet(name, table[:, 1:-1], y, n_classes, split[0], tuple(folds))


def _root(data: str | os.PathLike[str]) -> Any:
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path} does not exist: name the archive, a directory or a zip.")
    root = zipfile.Path(path) if zipfile.is_zipfile(path) else path
    return root / "data" if (root / "data").is_dir() else root


def _lines(file: Any) -> list[str]:
    if not file.is_file():
        raise DataError(f"{file} is missing: get the archive again, or leave this set out.")
    return [line for line in file.read_text(encoding="latin-1").splitlines() if line.strip()]


def _about(folder: Any) -> dict[str, str]:
    lines = (line.partition("=") for line in _lines(folder / f"{folder.name}.txt"))
    return {key.strip(): value.strip() for key, _, value in lines}


def _count(about: dict[str, str], key: str, folder: Any) -> int:
    if not about.get(key, "").isdigit():
        raise DataError(f"{folder}: its .txt has no number for {key}. Get the archive again.")
    return int(about[key])


def _splits(file: Any, n: int) -> list[tuple[Rows, Rows]]:
    """Read pairs of lines: rows to train on, rows to test on."""
    try:
        rows = [np.array(line.split(), np.int64) for line in _lines(file)]
    except ValueError as error:
        raise DataError(f"{file}: not rows of a table: {error}. Get the archive again.") from None
    pairs = list(zip(rows[::2], rows[1::2], strict=False))
    for pair in pairs:
        both = np.concatenate(pair)
        if len(np.unique(both)) != len(both) or both.min() < 0 or both.max() >= n:
            raise DataError(f"{file}: a part names a row twice, or one beyond {n - 1}. Get the archive again.")
    if not pairs or len(rows) % 2:
        raise DataError(f"{file} needs pairs of lines, found {len(rows)}.")
    return pairs
