"""Claims between processes on a store, one of which may be gone or on another machine."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import ntklab
from ntklab.gram._claims import Claims
from ntklab.gram._stored import existing_store
from ntklab.spec import zoo


@pytest.fixture
def store(request):
    kfn, place = ntklab.compile(zoo.fc(2), input_shape=(3,), dtype="float64"), f"memory://{request.node.name}"
    ntklab.gram(kfn, np.eye(3), store=place, tile=2, progress=False)
    return existing_store(place)


def claimed_by(store, at, host: str, process: int) -> None:
    store.claims.write(f"{at.top}-{at.left}", json.dumps({"host": host, "process": process}).encode()).result()


def test_two_processes_never_hold_the_same_tile(store):
    tiles, one, other = list(store.grid), Claims(store), Claims(store)
    assert [one.take(tiles), other.take(tiles), one.take(tiles), other.take(tiles)] == [*tiles, None]
    one.release(tiles[0])
    assert other.take(tiles) == tiles[0]
    one.release_all()
    other.release_all()
    assert store.claims.list().result() == []


def test_the_claim_of_a_dead_process_on_this_machine_is_taken_over_at_once(store):
    tiles = list(store.grid)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    claimed_by(store, tiles[0], socket.gethostname(), dead.pid)
    assert Claims(store).take(tiles) == tiles[0]


def test_the_claim_of_a_living_process_and_of_one_elsewhere_are_left_for_a_while(store, monkeypatch):
    tiles, claims = list(store.grid), Claims(store, patience=60.0)
    claimed_by(store, tiles[0], socket.gethostname(), os.getpid())
    claimed_by(store, tiles[1], "another-machine", 2**22 - 1)
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    assert claims.take(tiles[:2]) is None
    clock[0] += 59.0
    assert claims.take(tiles[:2]) is None
    claimed_by(store, tiles[1], "another-machine", 2**22 - 1)  # it goes on: a new claim, though in the same words
    clock[0] += 2.0
    assert claims.take(tiles[:2]) == tiles[0]
    assert claims.take(tiles[:2]) is None
    clock[0] += 61.0
    assert claims.take(tiles[:2]) == tiles[1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 3}'])
def test_a_claim_that_says_nothing_counts_as_one_from_elsewhere(store, content):
    tiles = list(store.grid)
    store.claims.write(f"{tiles[0].top}-{tiles[0].left}", content).result()
    assert Claims(store).take(tiles) == tiles[1]
    assert Claims(store, patience=-1.0).take(tiles) == tiles[0]


def test_giving_back_a_claim_that_was_taken_over_leaves_the_new_owners(store):
    tiles, slow = list(store.grid), Claims(store)
    slow.take(tiles)
    assert Claims(store, patience=-1.0).take(tiles) == tiles[0]
    slow.release(tiles[0])
    assert len(store.claims.list().result()) == 1
