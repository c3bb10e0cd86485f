"""The best assignment, against all there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from yolact.runtime.tracking.assignment import assign


def best_sum(similarity: np.ndarray) -> float:
    """Of every way to give rows different columns, or none."""
    rows, columns = similarity.shape
    choices = itertools.permutations([*range(columns), *[-1] * rows], rows)
    return max(sum(similarity[row, column] for row, column in enumerate(chosen) if column >= 0) for chosen in choices)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (4, 4), (1, 5), (5, 1), (3, 5)])
def test_no_other_assignment_has_a_larger_sum(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[0] * 10 + shape[1])
    for kind in range(24):
        similarity = random.random(shape) - (0.3 if kind % 3 else 0)
        if kind % 4 == 0:
            similarity = np.round(3 * similarity) / 3  # many are equal
        pairs = assign(similarity)
        assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
        assert (np.diff(pairs[:, 0]) > 0).all()
        assert (similarity[pairs[:, 0], pairs[:, 1]] > 0).all()
        assert similarity[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(best_sum(similarity))


def test_the_best_pair_alone_is_not_always_in_the_best_assignment() -> None:
    assert assign(np.array([[0.9, 0.8], [0.8, 0.1]])).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_assigned_to_nothing(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape)).shape == (0, 2)


def test_a_large_assignment_can_be_undone() -> None:
    order = np.random.default_rng(1).permutation(150)
    similarity = np.random.default_rng(2).random((150, 170)) * 0.01
    similarity[np.arange(150), order] += 1
    assert assign(similarity)[:, 1].tolist() == order.tolist()


@pytest.mark.parametrize("wrong", [np.zeros(3), np.array([[np.nan]]), np.array([[np.inf, 0]])])
def test_what_is_no_matrix_of_numbers_is_rejected(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite matrix"):
        assign(wrong)
