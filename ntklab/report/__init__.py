"""Tables and figures from Records; nothing is computed here."""

from ntklab.report._align import align as align
from ntklab.report._draw import curves as curves
from ntklab.report._draw import draw as draw
from ntklab.report._draw import figures as figures
from ntklab.report._page import page as page
from ntklab.report._tables import table as table
