"""Wilcoxon's signed-rank test."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.leaderboard.signed_rank import signed_rank


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([1.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32),
        ([-1.0, 2.0, 3.0, 4.0, 5.0], 4 / 32),
        ([1.0, -1.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0, inf], 2 / 32),
    ],
)
def test_small_samples_are_counted_out(differences: list[float], p: float) -> None:
    """By hand, over all signs."""
    assert signed_rank(differences) == p


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=40, max_size=80))
def test_it_agrees_with_scipy(differences: list[float]) -> None:
    """An independent library as oracle, where it is installed."""
    stats = pytest.importorskip("scipy.stats")
    assume(sum(value != 0 for value in differences) > 30)
    expected = stats.wilcoxon(differences, zero_method="wilcox", correction=True, method="approx").pvalue
    ours = signed_rank(differences)
    assert ours == pytest.approx(expected, rel=0.2, abs=0.01)
    assert ours == pytest.approx(signed_rank([-value for value in differences]))
