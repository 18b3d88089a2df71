"""Progress: a bar in a terminal, a few lines in a log."""

import contextlib
import os
import subprocess
import sys
import termios

import pytest

from ntklab._core import progress_bar

LONG = """
import time
from ntklab._core import progress_bar
with progress_bar(unit=" entries", total=50) as bar:
    for _ in range(50):
        time.sleep(0.02)
        bar.update(1)
"""


def test_a_log_gets_the_first_and_the_last_state_as_lines(capsys):
    with progress_bar(unit=" entries", total=1000, desc="kernel") as bar:
        for _ in range(1000):
            bar.update(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    first, last = err.splitlines()
    assert first.startswith("kernel:   0%")
    assert last.startswith("kernel: 100%")
    assert "1000/1000" in last


def test_a_second_of_work_writes_no_more_than_that():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 2


def test_a_terminal_gets_one_line_that_is_overwritten():
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    subprocess.run([sys.executable, "-c", LONG], stderr=terminal, check=True)
    os.close(terminal)
    text = ""
    with contextlib.suppress(OSError):  # the end of what a closed terminal holds
        while part := os.read(main, 4096).decode():
            text += part
    os.close(main)
    states = text.rstrip("\r\n").split("\r")
    assert len(states) > 4
    assert "\n" not in "".join(states)
    assert "50/50" in text


def test_items_pass_through_and_the_bar_can_be_off(capsys):
    assert list(progress_bar([1, 2, 3], unit=" widths", show=False)) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
