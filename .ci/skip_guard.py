"""A pytest plugin that fails the run when a test is skipped for a reason that is not expected here.

`.ci/run` loads it with ``-p skip_guard``. A skipped test is a test that nobody runs: each reason that may occur has
a line below, with the condition under which it may and the most tests it may cost.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Expected(NamedTuple):
    reason: str  # a regular expression, matched at the start of the reason
    here: bool
    most: int


EXPECTED = (
    # the CIFAR-10 subset is no part of the repository; tests that read it run where it lies beside the checkout
    Expected(
        r".* is not in the directory NTKLAB_DATA nor in ../shared/data", not (ROOT / "../shared/data").is_dir(), 5
    ),
    Expected(r"directories cannot be opened as files there", sys.platform == "win32", 1),
    Expected(r"the payloads are for a POSIX shell", sys.platform == "win32", 10),
)


def unexpected(reasons: list[str]) -> list[str]:
    """Return a line for each reason that has no line above, and for each line that costs more tests than it may."""
    found = []
    counts = dict.fromkeys(EXPECTED, 0)
    for reason in reasons:
        line = next((line for line in EXPECTED if line.here and re.match(line.reason, reason)), None)
        if line is None:
            found.append(f"not expected here: {reason}")
        else:
            counts[line] += 1
    return found + [f"{n} skipped, at most {line.most}: {line.reason}" for line, n in counts.items() if n > line.most]


_reasons: list[str] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        where = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _reasons.append(where.removeprefix("Skipped: "))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and unexpected(_reasons):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = unexpected(_reasons)
    if found:
        terminalreporter.section("skip guard", red=True, bold=True)
        for line in found:
            terminalreporter.line(line)
