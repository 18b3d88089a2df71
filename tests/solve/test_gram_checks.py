"""What a kernel matrix must be before any solver touches it; the same for both decompositions."""

import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.solve import eigendecompose, factorise
from tests.solve.grams import gaussian


@pytest.fixture(params=[factorise, eigendecompose], ids=["factorise", "eigendecompose"])
def decompose(request):
    return request.param


@pytest.mark.parametrize("shape", [(3,), (3, 2), (1, 3, 3), ()])
def test_a_matrix_that_is_not_square_is_refused_with_its_shape(decompose, shape):
    with pytest.raises(InputError, match=r"shape \(N, N\)"):
        decompose(np.ones(shape))


def test_an_empty_matrix_is_refused(decompose):
    with pytest.raises(InputError, match="empty"):
        decompose(np.ones((0, 0)))


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128, bool, object])
def test_other_dtypes_are_refused_by_name(decompose, dtype):
    with pytest.raises(InputError, match=np.dtype(dtype).name):
        decompose(np.eye(2).astype(dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_entry_that_is_not_finite_is_named(decompose, bad, monkeypatch):
    monkeypatch.setattr("ntklab.solve._gram._BLOCK_ENTRIES", 20)
    gram = gaussian(9)
    gram[8, 0] = gram[7, 2] = gram[7, 5] = bad
    with pytest.raises(InputError, match=rf"entry \(7, 2\) is {bad}"):
        decompose(gram)


@pytest.mark.parametrize("tile", [1024, 4])
@pytest.mark.parametrize("place", [(1, 0), (8, 2), (2, 8), (9, 8)])
def test_the_worst_asymmetry_is_named_wherever_it_is(decompose, place, tile, monkeypatch):
    monkeypatch.setattr("ntklab.solve._gram._TILE", tile)
    gram = 2 * gaussian(10)
    gram[0, 5] += 1e-3
    gram[place] += 0.25
    row, column = max(place), min(place)
    message = rf"(\({row}, {column}\) and \({column}, {row}\)|\({column}, {row}\) and \({row}, {column}\)) differ"
    with pytest.raises(InputError, match=message + r" by 0\.25, the mean diagonal is 2,"):
        decompose(gram)


@pytest.mark.parametrize(("dtype", "accepted", "refused"), [(np.float64, 2.9e-8, 3.1e-8), (np.float32, 6.8e-4, 7e-4)])
def test_asymmetry_is_accepted_up_to_two_roots_of_eps_of_the_input(decompose, dtype, accepted, refused):
    gram = 3 * np.eye(3)
    gram[1, 0] = 3 * accepted
    decompose(gram.astype(dtype))
    gram[1, 0] = 3 * refused
    with pytest.raises(InputError, match=np.dtype(dtype).name):
        decompose(gram.astype(dtype))


def test_an_unsigned_looking_difference_in_float32_is_not_lost_to_overflow(decompose):
    gram = np.diag(np.full(2, 3e38, np.float32))
    gram[0, 1], gram[1, 0] = 3e38, -3e38
    with pytest.raises(InputError, match=r"differ by 6e\+38"):
        decompose(gram)
