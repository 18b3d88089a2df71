"""Shared fixtures of the data tests."""

import pytest

from tests.data.cifar_files import RECORDS


@pytest.fixture
def few_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the public versions have a few images in each file instead of 10,000."""
    monkeypatch.setattr("ntklab.data._cifar._RECORDS_PER_FILE", RECORDS)
