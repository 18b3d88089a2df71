"""A small archive in the layout of Fernandez-Delgado et al. 2014."""

from pathlib import Path

import numpy as np


def write_set(root: Path, name: str, n: int, d: int, n_classes: int, seed: int = 0, test_file: bool = False) -> None:
    """Write one set whose classes are cut along the product of two features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = np.digitize(x[:, 0] * x[:, 1], np.quantile(x[:, 0] * x[:, 1], np.arange(1, n_classes) / n_classes))
    folder = root / name
    folder.mkdir(parents=True)
    about = {"n_entradas": d, "n_clases": n_classes, "n_arquivos": 1, "fich1": f"{name}_R.dat", "n_patrons1": n}
    about |= {"n_patrons2": 5} if test_file else {}
    (folder / f"{name}.txt").write_text("".join(f"{key}= {value}\n" for key, value in about.items()))
    lines = ["\t".join(["", *(f"f{k + 1}" for k in range(d)), "clase"])]
    lines += ["\t".join([str(i + 1), *(f"{v:.6g}" for v in x[i]), str(y[i])]) for i in range(n)]
    (folder / f"{name}_R.dat").write_text("\n".join(lines) + "\n")
    order = rng.permutation(n)
    halves = [order[: n // 2], order[n // 2 :]]
    (folder / "conxuntos.dat").write_text(lines_of(halves))
    quarters = np.array_split(rng.permutation(n), 4)
    folds = [rows for k in range(4) for rows in (np.concatenate(quarters[:k] + quarters[k + 1 :]), quarters[k])]
    (folder / "conxuntos_kfold.dat").write_text(lines_of(folds))


def lines_of(parts) -> str:
    return "".join(" ".join(map(str, part)) + " \n" for part in parts)
