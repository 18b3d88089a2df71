"""What looking at a store finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ntklab.gram._tiles import Tile


@dataclass(frozen=True)
class Status:
    """How far a store is.

    Attributes
    ----------
    tiles, tiles_done, entries, entries_done : int
    claimed : int
        Tiles that a process has claimed: being computed, or left behind by one that was killed.
    manifest : dict
        What the store holds.
    """

    tiles: int
    tiles_done: int
    entries: int
    entries_done: int
    claimed: int
    manifest: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every tile is there."""
        return self.tiles == self.tiles_done


@dataclass(frozen=True)
class Verification:
    """What :func:`ntklab.gram.verify` found.

    Attributes
    ----------
    tiles : int
        Committed tiles, all read.
    missing : int
        Tiles not computed yet.
    damaged : tuple of (Tile, str)
        Tiles whose checksum, length or values are wrong, with the reason.
    recomputed, identical : int
        Tiles computed anew, and how many of them came out the same bit for bit.
    largest_difference : float
        Among the recomputed tiles, relative to the tile's largest entry.
    tolerance : float
        What rounding may explain: another number of threads, another processor.
    repaired : bool
        Whether the damaged tiles were dropped, so that the next run computes them.
    """

    tiles: int
    missing: int
    damaged: tuple[tuple[Tile, str], ...]
    recomputed: int
    identical: int
    largest_difference: float
    tolerance: float
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and nothing differs beyond rounding; tiles may still be missing."""
        return not self.damaged and self.largest_difference <= self.tolerance
