"""Ragged inputs in one array, and what is refused."""

import numpy as np
import pytest

from ntklab.data import pack_ragged
from ntklab.errors import InputError
from ntklab.spec import Mask


def test_what_is_absent_comes_last_and_holds_the_constant_of_the_layer():
    x = pack_ragged([np.ones((2, 3, 1), np.float32), np.zeros((1, 4, 1), np.float32)])
    assert (x.shape, x.dtype) == ((2, 2, 4, 1), np.float32)
    assert (x[0, :, :3] == 1).all()
    assert (x[0, :, 3] == Mask().constant).all()
    assert (x[1, 1] == Mask().constant).all()
    assert pack_ragged([np.ones((2, 1), int)], (5,)).dtype == np.float64


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        ([], {}, "at least one"),
        ([np.ones(3)], {}, "positions and channels"),
        ([np.ones((0, 3))], {}, "positions and channels"),
        ([np.ones((2, 3)), np.ones((2, 4))], {}, "input 1"),
        ([np.ones((2, 3))], {"constant": 1.0}, "choose another"),
        ([np.ones((2, 3))], {"constant": 0.1}, "float32"),
        ([np.ones((2, 3))], {"shape": (1,)}, "at least"),
        ([np.full((2, 3), np.nan)], {}, "NaN"),
        ([[["a"]]], {}, "real numbers"),
        ([[[1.0], [1.0, 2.0]]], {}, "no array"),
    ],
)
def test_what_cannot_be_packed_is_refused(inputs, options, words):
    with pytest.raises(InputError, match=words):
        pack_ragged(inputs, **options)
