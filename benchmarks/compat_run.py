"""Runs the programs of ``compat_layers.py`` and ``compat_functions.py`` with one package, and saves what they return.

Called by ``compat.py`` in the environment of that package; needs JAX and NumPy only.
"""

import argparse
import importlib
import json
import sys
import time
import traceback
import warnings
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


def main():
    """Run and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package")
    parser.add_argument("target", help="an .npz of all that is found; what failed stands in a .json beside it")
    parser.add_argument("--only", default="", help="part of a program's name")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    programs = {}
    for name in ("compat_layers", "compat_functions"):
        programs |= importlib.import_module(name).PROGRAMS
    package = importlib.import_module(given.package)
    found, failed, seconds = {}, {}, {}
    for name, run in programs.items():
        if given.only not in name:
            continue
        start = time.perf_counter()
        try:
            for key, value in run(package).items():
                found[f"{name}/{key}"] = np.asarray(str(value) if value is None else value)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            print(name, traceback.format_exc(limit=-3), file=sys.stderr)
        seconds[name] = time.perf_counter() - start
    np.savez_compressed(given.target, **found)
    versions = {"package": getattr(package, "__version__", None), "jax": jax.__version__}
    Path(given.target).with_suffix(".json").write_text(
        json.dumps({"programs": list(seconds), "failed": failed, "seconds": seconds, "versions": versions})
    )


if __name__ == "__main__":
    main()
