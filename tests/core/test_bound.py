"""The bound on missed breaks, against scipy and against its own promise."""

from __future__ import annotations

import pytest
from scipy.stats import hypergeom

from bench.core.bound import CONFIDENCE, most_missed


@pytest.mark.parametrize("population", [1, 7, 40])
def test_the_bound_is_that_of_the_hypergeometric_distribution(population):
    """The largest number of breaks whose lower tail is at least 5 %, less those found."""
    for audited in range(1, population + 1):
        for broken in range(audited + 1):
            possible = range(broken, population - audited + broken + 1)
            largest = max(n for n in possible if hypergeom.cdf(broken, population, n, audited) >= 0.05 - 1e-12)
            assert most_missed(population, audited, broken) == largest - broken, (audited, broken)


@pytest.mark.parametrize(("population", "audited"), [(20, 5), (74, 16), (375, 38)])
def test_whatever_the_truth_the_bound_holds_in_95_of_100_audits(population, audited):
    """Exactly: for each true number of breaks, the summed probability of audits that miss more than their bound."""
    for breaks in range(population + 1):
        failures = sum(
            hypergeom.pmf(found, population, breaks, audited)
            for found in range(max(0, audited + breaks - population), min(audited, breaks) + 1)
            if breaks - found > most_missed(population, audited, found)
        )
        assert failures <= 1 - CONFIDENCE + 1e-12, breaks


def test_large_counts_are_exact_and_quick():
    """Ten thousand examples are no more than whole numbers."""
    assert most_missed(3_750, 375) == 28
    assert hypergeom.cdf(0, 3_750, 28, 375) >= 0.05 > hypergeom.cdf(0, 3_750, 29, 375)


def test_an_audit_of_everything_leaves_nothing():
    """And one of nothing leaves everything."""
    assert most_missed(50, 50) == most_missed(0, 0) == 0
    assert most_missed(50, 0) == 50


@pytest.mark.parametrize("counts", [(10, 11, 0), (10, 5, 6), (10, -1, 0), (-1, 0, 0)])
def test_counts_that_cannot_be_are_refused(counts):
    """By name."""
    with pytest.raises(ValueError, match="Expected 0 <= `n_broken`"):
        most_missed(*counts)
