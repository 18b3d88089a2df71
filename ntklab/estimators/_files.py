"""Fitted models as files: arrays in an npz, everything else in JSON; nothing in them can run code."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from ntklab._core import written_whole
from ntklab.errors import DataError
from ntklab.solve import Ridge
from ntklab.spec import Layer, from_json, to_json

FORMAT = 1
_ARRAYS = ("X_fit_", "K_fit_", "targets_", "y_mean_")
_PLAIN = ("n_features_in_", "image_shape_", "ridge_", "network_", "feature_names_in_", "classes_")


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator, whole or not at all."""
    fitted = {name: _pack(getattr(model, name)) for name in _PLAIN if hasattr(model, name)}
    calibration = getattr(model, "calibration_", None)
    header = {
        "format": FORMAT,
        "estimator": type(model).__name__,
        "parameters": {name: _pack(value) for name, value in model.get_params().items()},
        "fitted": fitted,
        "calibration": None if calibration is None else vars(calibration),
    }
    arrays = {name: getattr(model, name) for name in _ARRAYS if hasattr(model, name)}
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file of :func:`write`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
        if header["format"] != FORMAT:
            raise DataError(
                f"{path} is a model of format {header['format']!r}, this version reads {FORMAT}: fit it again."
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no model that was saved by ntklab: {error}. Give a file of its save().") from None
    for part in ("parameters", "fitted"):
        header[part] = {name: _unpack(value) for name, value in header[part].items()}
    return header, arrays


def _pack(value: Any) -> Any:
    if isinstance(value, Layer):
        return {"network": to_json(value)}
    if isinstance(value, Ridge):
        return {"ridge": [value.value, value.relative_to]}
    if isinstance(value, np.ndarray):
        kind = "O" if value.dtype == object else value.dtype.str
        return {"array": value.tolist(), "dtype": kind}
    if isinstance(value, tuple | list):
        return {"tuple": [_pack(inner) for inner in value]}
    return value.item() if isinstance(value, np.generic) else value


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner), *rest) = value.items()
    if kind == "network":
        return from_json(inner)
    if kind == "ridge":
        return Ridge(*inner)
    if kind == "array":
        return np.array(inner, dtype=rest[0][1])
    return tuple(_unpack(part) for part in inner)
