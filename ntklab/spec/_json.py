"""Specs as JSON, both ways, and the stable hash that goes into cache keys and records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from ntklab.errors import SpecError
from ntklab.spec import (
    _activations,
    _attention,
    _composition,
    _convolutions,
    _inputs,
    _linear,
    _normalisation,
    _pooling,
    _positions,
    _recurrent,
    _structure,
)
from ntklab.spec._layer import Layer
from ntklab.spec._structure import Serial

FORMAT = 1
"""Raised whenever the meaning of the JSON changes, so that an old hash cannot name a new kernel."""

_MODULES = (
    _activations,
    _attention,
    _composition,
    _convolutions,
    _inputs,
    _linear,
    _normalisation,
    _pooling,
    _positions,
    _recurrent,
    _structure,
)

LAYERS: dict[str, type[Layer]] = {
    name: found
    for module in _MODULES
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, Layer) and is_dataclass(found) and found.__name__ == name
}
"""Every layer by its name: the dataclasses of these modules."""


def to_json(network: Layer, indent: int | None = None) -> str:
    """Return the network as JSON text; :func:`from_json` gives an equal network back.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu, Serial
    >>> network = Serial(Dense(W_std=1.5), Relu(), Dense())
    >>> from_json(to_json(network)) == network
    True
    """
    return json.dumps({"format": FORMAT, "network": _pack(network)}, indent=indent, sort_keys=True)


def from_json(text: str) -> Layer:
    """Return the network that :func:`to_json` wrote.

    Raises
    ------
    SpecError
        Not JSON, another format number, an unknown layer or field, or arguments a layer refuses.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"Not a network in JSON: {error}.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or "network" not in document:
        raise SpecError(
            f'A network in JSON is {{"format": {FORMAT}, "network": ...}}, got {text[:80]!r}; '
            f"was it written by another version of ntklab?"
        )
    network = _unpack(document["network"])
    if not isinstance(network, Layer):
        raise SpecError(f'"network" in JSON is an object with a "layer", got {document["network"]!r}.')
    return network


def stable_hash(network: Layer) -> str:
    """Return 64 hexadecimal digits that name this network on every machine and in every session.

    SHA-256 of the canonical JSON: equal networks have equal hashes, whatever the Python version.
    """
    return hashlib.sha256(to_json(network).encode()).hexdigest()


def _pack(value: Any) -> Any:
    if isinstance(value, Layer):
        known = fields(value)  # pyright: ignore[reportArgumentType]
        packed = {f.name: _pack(getattr(value, f.name)) for f in known if not _unsaid(f, getattr(value, f.name))}
        return {"layer": type(value).__name__, **packed}
    if callable(value):
        raise SpecError(f"A network with a function of yours, {value!r}, has no JSON and cannot be stored.")
    if isinstance(value, tuple):
        return [_pack(inner) for inner in value]
    return value


def _unsaid(field: Any, value: Any) -> bool:
    """Whether a field is left out, so that networks keep their hash when their layers get new ones."""
    return field.metadata.get("later", False) and value == field.default


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(inner) for inner in value)
    if not isinstance(value, dict):
        return value
    name = value.get("layer")
    if not isinstance(name, str) or name not in LAYERS:
        raise SpecError(f"Unknown layer {name!r} in JSON; this version knows {', '.join(sorted(LAYERS))}.")
    cls = LAYERS[name]
    known = {f.name: f for f in fields(cls)}  # pyright: ignore[reportArgumentType]
    given = {key: _unpack(inner) for key, inner in value.items() if key != "layer"}
    needed = {key for key, f in known.items() if f.default is MISSING}
    if not needed <= set(given) <= set(known):
        raise SpecError(f"{name} in JSON has the fields {sorted(given)}; expected {sorted(known)}.")
    if not cls.positional.startswith("*"):
        return cls(**given)
    field = cls.positional[1:]
    parts = given.pop(field)
    if isinstance(parts, Serial):
        parts = parts.layers
    elif isinstance(parts, Layer):
        parts = (parts,)
    if not isinstance(parts, tuple):
        raise SpecError(f"{name} in JSON needs a list of {field}, got {parts!r}.")
    return cls(*parts, **given)
