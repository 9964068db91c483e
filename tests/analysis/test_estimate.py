from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bench.analysis.estimate import RESAMPLES, bootstrap, contrast, mean, share
from bench.core.statistics import wilson


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    """For many normal draws: mean plus and minus 1.96 standard errors."""
    values = np.random.default_rng(0).normal(3, 2, size=400)
    found = mean(values, seed=0)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.03)
    assert found.high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.03)


def test_the_same_seed_resamples_the_same_units():
    """So the mean of differences and the difference of means agree for paired values."""
    first = np.random.default_rng(1).normal(size=30)
    assert mean(first + 2, seed=5).low == pytest.approx(mean(first, seed=5).low + 2)
    assert mean(first, seed=5) != mean(first, seed=6)


def test_other_statistics_than_the_mean():
    """The bootstrap takes any statistic of the last axis."""
    found = bootstrap(np.array([1.0, 1.0, 9.0]), lambda drawn: np.median(drawn, axis=-1), seed=0)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 9.0)


def test_no_values_have_no_mean():
    """An empty sample is refused."""
    with pytest.raises(ValueError, match="at least one number"):
        mean([], seed=0)


def test_shares_have_wilson_intervals():
    """As everywhere else."""
    found = share(3, 10)
    assert (found.value, (found.low, found.high)) == (0.3, wilson(3, 10))
    assert found.json["value"] == 0.3


@pytest.mark.parametrize("n_units", [10, 1_000, 10_000])
def test_resamples_are_those_of_one_draw(n_units):
    """Drawn some at a time, they are still the same: the intervals that are published stay."""
    values = np.random.default_rng(0).normal(size=n_units)
    drawn = np.random.default_rng(7).integers(n_units, size=(RESAMPLES, n_units))
    found = mean(values, seed=7)
    assert (found.low, found.high) == tuple(np.quantile(values[drawn].mean(axis=1), (0.025, 0.975)))


def test_fifty_thousand_units_fit_into_memory():
    """Two thousand resamples of them, all at once, are more than a gigabyte."""
    values = np.random.default_rng(0).normal(size=50_000)
    tracemalloc.start()
    found = mean(values, seed=0), contrast(values, values, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20
    assert all(each.high - each.low == pytest.approx(4 / 50_000**0.5, rel=0.6) for each in found)


@pytest.mark.parametrize("total", [1, 10, 13, 25, 64, 256, 512])
def test_no_interval_ends_within_its_value(total):
    """Where all or none count, an end is the value, and not one rounding off it: a chart takes no length below 0."""
    for count in (0, total):
        found = share(count, total)
        assert found.low <= found.value <= found.high
