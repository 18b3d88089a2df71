"""Whole kernel matrices: tiles, and their computation, in memory or in a store that survives a crash."""

from ntklab.gram._cost import Cost as Cost
from ntklab.gram._cost import estimate as estimate
from ntklab.gram._findings import Status as Status
from ntklab.gram._findings import Verification as Verification
from ntklab.gram._gram import export as export
from ntklab.gram._gram import gram as gram
from ntklab.gram._gram import open_gram as open_gram
from ntklab.gram._gram import resume as resume
from ntklab.gram._gram import status as status
from ntklab.gram._gram import verify as verify
from ntklab.gram._tiles import Tile as Tile
from ntklab.gram._tiles import TileGrid as TileGrid
