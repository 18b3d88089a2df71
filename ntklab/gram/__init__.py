"""Whole kernel matrices: tiles, and their computation with progress."""

from ntklab.gram._compute import gram as gram
from ntklab.gram._tiles import Tile as Tile
from ntklab.gram._tiles import TileGrid as TileGrid
