"""Label codings against their definitions in the papers, and what they refuse."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.predict import accuracy, decode, encode

CODINGS = ["arora", "centred-one-hot", "one-hot"]
LABELS = np.array([3, 0, 9, 3])


def test_arora_targets_are_nine_tenths_for_the_class_and_minus_a_tenth_elsewhere():
    targets = encode(LABELS, "arora")
    assert targets.shape == (4, 10)
    assert targets.dtype == np.float64
    for row, label in zip(targets, LABELS, strict=True):
        np.testing.assert_allclose(row[label], 0.9, rtol=1e-15)
        np.testing.assert_allclose(np.delete(row, label), -0.1, rtol=1e-15)


def test_arora_targets_do_not_depend_on_the_number_of_classes():
    np.testing.assert_allclose(encode([1], "arora", 3), [[-0.1, 0.9, -0.1]], rtol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
def test_centred_targets_sum_to_zero_and_step_by_one(n_classes):
    targets = encode([0, 1], "centred-one-hot", n_classes)
    np.testing.assert_allclose(targets.sum(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(targets.max(axis=1) - targets.min(axis=1), 1, rtol=1e-14)


def test_arora_and_centred_one_hot_are_the_same_for_ten_classes():
    np.testing.assert_allclose(encode(LABELS, "arora"), encode(LABELS, "centred-one-hot", 10), rtol=1e-15)


def test_one_hot_is_rows_of_the_identity_without_negative_zeros():
    targets = encode(LABELS, "one-hot", 10)
    np.testing.assert_array_equal(targets, np.eye(10)[LABELS])
    assert not np.signbit(targets).any()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_decoding_undoes_every_coding(coding, dtype):
    np.testing.assert_array_equal(decode(encode(LABELS.astype(dtype), coding)), LABELS)


def test_jax_labels_are_accepted():
    np.testing.assert_array_equal(encode(jnp.array([1, 0]), "one-hot"), [[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        ([0, -1], None, "-1 occurs"),
        ([0, 3], 3, "below n_classes = 3, but 3 occurs"),
        ([0.0, 1.0], None, "integers"),
        ([True, False], None, "integers"),
        ([[0], [1]], None, r"\(2, 1\)"),
        ([], None, "no labels"),
        ([0, 0], None, "at least 2 classes, got 1"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(labels, n_classes, message):
    with pytest.raises(InputError, match=message):
        encode(labels, "arora", n_classes)


def test_an_unknown_coding_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'onehot'.*'arora', 'centred-one-hot', 'one-hot'"):
        encode([0, 1], "onehot")


def test_the_first_of_equal_scores_wins():
    np.testing.assert_array_equal(decode([[0.0, 1.0, 1.0]]), [1])


def test_accuracy_is_the_fraction_of_hits():
    scores = encode([0, 1, 2, 2, 1], "one-hot")
    assert accuracy(scores, [0, 1, 2, 0, 0]) == pytest.approx(0.6, rel=1e-15)
    assert isinstance(accuracy(scores, [0, 1, 2, 0, 0]), float)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.ones(3), r"\(M, C\)"),
        (np.ones((3, 1)), "C >= 2"),
        ([[0.0, 1.0], [np.nan, 1.0]], "Row 1 "),
        (np.array([["a", "b"]]), "real"),
    ],
)
def test_scores_without_a_largest_entry_are_refused(scores, message):
    with pytest.raises(InputError, match=message):
        decode(scores)


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 1, 1], "for each of 2 rows of scores, got 3"), ([0, 2], "must be below 2")]
)
def test_labels_that_do_not_fit_the_scores_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        accuracy([[0.0, 1.0], [1.0, 0.0]], labels)
