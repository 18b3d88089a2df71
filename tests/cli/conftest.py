"""The command, run in this process."""

import sys

import pytest

from ntklab import cli


@pytest.fixture
def ntklab_command(monkeypatch, capsys):
    """Run the command in this process and return its exit status, output and error output."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ntklab", *map(str, words)])
        status = 0
        try:
            cli.main()
        except SystemExit as exit_:
            status = exit_.code
        return status, *capsys.readouterr()

    return run
