"""The `ntklab` command."""

from ntklab.cli._app import app as app
from ntklab.cli._app import main as main
