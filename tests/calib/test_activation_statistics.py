"""Running statistics of activations and the ranges chosen from them."""

from __future__ import annotations

import numpy as np
import pytest

from yolact.calib.activation_statistics import BINS, TensorStatistics, ValueRange
from yolact.calib.ranges import Algorithm, find_range


def statistics_of(*batches: np.ndarray) -> TensorStatistics:
    statistics = TensorStatistics()
    for batch in batches:
        statistics.add(batch)
    return statistics


def test_counts_are_those_of_a_histogram() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(0, scale, (2, 3, 40, 50)).astype(np.float32) for scale in (1, 5, 0.1, 9)]
    statistics = statistics_of(*batches)
    values = np.concatenate([batch.ravel() for batch in batches])
    assert statistics.limits == (values.min(), values.max())
    edges = statistics.width * np.arange(BINS + 1)
    assert edges[-1] >= np.abs(values).max() > edges[-1] / 4
    expected = np.histogram(np.abs(values), edges)[0]
    assert statistics.counts.sum() == values.size
    # A value on an edge, but for rounding, may be counted on either side.
    assert np.abs(np.cumsum(statistics.counts) - np.cumsum(expected)).max() <= 2


def test_zeros_before_and_after_anything_else() -> None:
    values = np.array([0.5, -1.0, 2.0], np.float32)
    zeros = np.zeros(10, np.float32)
    for batches in ((zeros, values), (values, zeros)):
        statistics = statistics_of(*batches)
        assert statistics.limits == (-1, 2) and statistics.counts.sum() == 13
        assert statistics.counts[0] == 10 and statistics.width == 2 / BINS
    assert statistics_of(zeros).width == 0
    assert find_range(statistics_of(zeros), "entropy") == (0, 0)


def test_magnitudes_below_zero_widen_the_histogram() -> None:
    statistics = statistics_of(np.array([-8.0, 1.0], np.float32))
    assert statistics.width == 8 / BINS and statistics.counts[BINS // 8] == statistics.counts[-1] == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_leave_no_range(value: float) -> None:
    ones = np.ones(5, np.float32)
    statistics = statistics_of(ones, np.array([2, value], np.float32), ones)
    for algorithm in ("entropy", "minmax", "percentile"):
        assert np.isnan(find_range(statistics, algorithm)).all()


def test_magnitudes_next_to_nothing_are_zeros() -> None:
    statistics = statistics_of(np.array([5e-37, 0], np.float32), np.array([1e-40], np.float32))
    assert statistics.counts[0] == 3 and statistics.width == 0


def test_percentile_leaves_out_so_many() -> None:
    values = np.random.default_rng(1).normal(0, 1, 3_000_000).astype(np.float32)
    statistics = statistics_of(values)
    low, high = find_range(statistics, "percentile")
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(values), 99.999), abs=2 * statistics.width)


@pytest.mark.parametrize(("beyond", "bins"), [(1, 6), (2, 10)])
def test_percentile_keeps_the_bins_that_hold_the_share(beyond: int, bins: int) -> None:
    """One magnitude in 100,000 may be left out."""
    counts = np.zeros(BINS)
    counts[[0, 5, 9]] = 90_000, 10_000 - beyond, beyond
    assert find_range(TensorStatistics(ValueRange(-20, 20), counts, width=1.0), "percentile") == (-bins, bins)


@pytest.mark.parametrize("algorithm", ["entropy", "percentile"])
def test_outliers_are_given_up(algorithm: Algorithm) -> None:
    values = np.random.default_rng(2).normal(0, 1, 2_000_000).astype(np.float32)
    values[:3] = 400
    low, high = find_range(statistics_of(values), algorithm)
    assert 2 < high < 30 and -30 < low < -2  # 128 bins are 25 wide
    assert find_range(statistics_of(values), "minmax") == (values.min(), 400)


def test_the_sign_of_the_limits_is_kept() -> None:
    values = np.abs(np.random.default_rng(3).normal(0, 1, 100_000)).astype(np.float32)
    for algorithm in ("entropy", "minmax", "percentile"):
        assert find_range(statistics_of(values), algorithm)[0] == 0
        assert find_range(statistics_of(-values), algorithm)[1] == 0


def test_entropy_keeps_all_of_an_even_distribution() -> None:
    """There is no tail to give up."""
    values = np.random.default_rng(4).uniform(-3, 3, 500_000).astype(np.float32)
    low, high = find_range(statistics_of(values), "entropy")
    assert high == pytest.approx(3, abs=0.05) and low == pytest.approx(-3, abs=0.05)


def test_entropy_does_not_count_zeros() -> None:
    statistics = statistics_of(np.random.default_rng(6).laplace(0, 1, 20_000).astype(np.float32))
    expected = find_range(statistics, "entropy")
    statistics.counts[0] += 1e7
    assert find_range(statistics, "entropy") == expected


def test_entropy_is_least_of_all_candidates() -> None:
    """Against the divergence written out in loops, as in the original's pseudocode."""
    values = np.random.default_rng(5).laplace(0, 1, 20_000).astype(np.float32)
    statistics = statistics_of(values)
    counts = statistics.counts.copy()
    counts[0] = 0

    def divergence(bins: int) -> float:
        reference = counts[:bins].copy()
        quantised = np.zeros(bins)
        for level in range(128):
            inside = [i for i in range(bins) if i * 128 // bins == level and counts[i] > 0]
            for i in inside:
                quantised[i] = sum(counts[j] for j in inside) / len(inside)
        reference[-1] += counts[bins:].sum()
        p, q = reference / reference.sum(), quantised / quantised.sum()
        return sum(p[i] * np.log(p[i] / (q[i] or 1e-4)) for i in range(bins) if p[i] > 0)

    chosen = round(find_range(statistics, "entropy")[1] / statistics.width)
    coarse = [divergence(bins) for bins in range(128, BINS + 1, 64)]
    assert divergence(chosen) <= min(coarse) + 1e-12
