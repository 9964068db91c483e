from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.distributions import ks, permutations_for, separation

SAMPLES = st.lists(st.floats(-5, 5).map(lambda value: round(value, 1)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, SAMPLES)
def test_ks_is_what_it_is_defined_to_be(first, second):
    """Any two samples, ties included: the largest difference of shares."""
    apart = [np.mean([x <= value for x in first]) - np.mean([y <= value for y in second]) for value in first + second]
    assert ks(first, second) == pytest.approx(max(map(abs, apart)))


def test_a_sample_is_at_distance_zero_from_itself():
    """Identical samples are as near as can be, and chance gives more."""
    sample = np.random.default_rng(0).normal(size=40)
    found = separation(sample, sample, seed=0)
    assert (found.ks, found.wasserstein, found.p_value) == (0.0, 0.0, 1.0)
    assert found.by_chance > 0.1


def test_what_is_apart_is_told_from_chance():
    """Disjoint samples are at distance 1, which no random division reaches."""
    found = separation(np.arange(20.0), np.arange(20.0) + 100, seed=0)
    assert found.ks == 1.0
    assert found.p_value == pytest.approx(1 / 1000)
    assert found.by_chance < 0.6


def test_the_unit_is_the_pooled_standard_deviation():
    """Scaling both samples changes neither distance."""
    draws = np.random.default_rng(1)
    first, second = draws.normal(size=30), draws.normal(1, size=20)
    one, other = separation(first, second, seed=3), separation(7 * first, 7 * second, seed=3)
    assert one.ks == other.ks
    assert one.wasserstein == pytest.approx(other.wasserstein)
    assert one.wasserstein == pytest.approx(
        stats.wasserstein_distance(first, second) / np.concatenate((first, second)).std()
    )


def test_chance_is_found_again_with_the_same_seed():
    """Random divisions follow from the seed."""
    draws = np.random.default_rng(2).normal(size=(2, 15))
    assert separation(*draws, seed=1) == separation(*draws, seed=1)
    assert separation(*draws, seed=1).p_value != separation(*draws, seed=2).p_value


@pytest.mark.parametrize("n_tests", [20, 51, 53, 70])
def test_one_of_many_tests_can_be_significant(n_tests):
    """Two samples without overlap differ at the first of Holm's levels, however many are tested."""
    found = separation(np.zeros(30), np.ones(30), seed=0, permutations=permutations_for(n_tests))
    assert found.p_value <= 0.05 / n_tests
