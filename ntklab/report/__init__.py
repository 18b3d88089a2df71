"""Tables and figures from Records; nothing is computed here."""

from ntklab.report._align import align as align
from ntklab.report._draw import draw as draw
from ntklab.report._tables import table as table
