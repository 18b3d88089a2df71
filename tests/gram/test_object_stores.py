"""Stores that are not directories: a server of the S3 protocol, and memory."""

import urllib.request

import numpy as np
import pytest
from moto.server import ThreadedMotoServer

import ntklab
from ntklab.engine import KernelFn
from ntklab.errors import StoreError
from ntklab.gram import status, verify
from ntklab.spec import zoo

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def s3(monkeypatch):
    """Return a place in a bucket of a local server."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/kernels", method="PUT")).close()
    yield {"driver": "s3", "bucket": "kernels", "endpoint": endpoint, "aws_region": "us-east-1", "path": "mine/k.zarr"}
    server.stop()


@pytest.fixture(scope="module")
def kfn() -> KernelFn:
    return ntklab.compile(zoo.fc(2), input_shape=(3,))


def inputs(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(50, 3))


def make_read_and_complete(kfn, place):
    expected = ntklab.gram(kfn, inputs(), tile=16, progress=False)
    stored = ntklab.gram(kfn, inputs(), store=place, tile=16, progress=False)
    np.testing.assert_array_equal(np.asarray(stored.ntk), expected.ntk)
    stored.ntk.store.drop(next(iter(stored.ntk.store.grid)))
    assert (status(place).tiles_done, status(place).claimed) == (9, 0)
    with pytest.raises(StoreError, match="1 of 10 tiles are not computed"):
        stored.ntk[0]
    again = ntklab.gram(kfn, inputs(), store=place, tile=16, progress=False)
    np.testing.assert_array_equal(again.nngp[:3], expected.nngp[:3])
    assert verify(place, sample=10, progress=False).identical == 10
    with pytest.raises(StoreError, match=r"x1\.sha256"):
        ntklab.gram(kfn, inputs(seed=1), store=place, tile=16, progress=False)


def test_an_s3_store_is_made_read_and_completed_like_one_on_disk(kfn, s3):
    make_read_and_complete(kfn, s3)
    with pytest.raises(StoreError, match="There is no Gram store"):
        status({**s3, "path": "mine/other.zarr"})


def test_a_store_in_memory_lasts_as_long_as_the_process(kfn):
    make_read_and_complete(kfn, "memory://test/k.zarr")


def test_what_was_written_does_not_change_with_the_room_it_was_written_from(kfn):
    expected = ntklab.gram(kfn, inputs(), tile=16, progress=False)
    stored = ntklab.gram(kfn, inputs(), store="memory://test/room.zarr", tile=16, progress=False)
    store = stored.ntk.store
    first = next(iter(store.grid))
    room = np.empty((2, 16, 16), store.dtype)
    store.write(first, [expected.nngp[:16, :16], expected.ntk[:16, :16]], into=room).wait()
    room[...] = 0
    np.testing.assert_array_equal(stored.ntk[:16, :16], expected.ntk[:16, :16])
