"""Tests of the error bars."""

from __future__ import annotations

import pytest

from bench.ops.accuracy import wilson


def test_the_interval_is_wilsons():
    """The interval of 81 in 263 is the one that Newcombe 1998 (table I, method 3) prints."""
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]


@pytest.mark.parametrize(("n_correct", "low", "high"), [(0, 0.0, 0.1611), (20, 0.8389, 1.0)])
def test_the_interval_stays_in_range_at_the_ends(n_correct, low, high):
    """None and all of 20 give one-sided intervals inside [0, 1], as Newcombe 1998 prints for 0 of 20."""
    assert [round(end, 4) for end in wilson(n_correct, 20)] == [low, high]


@pytest.mark.parametrize(("n_correct", "n_examples"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(n_correct, n_examples):
    """Counts that cannot be are an error."""
    with pytest.raises(ValueError, match="Expected 0 <="):
        wilson(n_correct, n_examples)
