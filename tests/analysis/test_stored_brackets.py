from __future__ import annotations

import math

from bench.analysis.stored_brackets import StoredBrackets

FOUND = StoredBrackets(lower=(0.0, 0.0, 1.0, 2.0), upper=(0.0, 1.0, 3.0, None))


def test_robust_accuracy_steps_down_at_the_middle_of_each_bracket():
    """One example wrong already, one broken by 1, one between 1 and 3, one never broken."""
    assert FOUND.n_clean == 3
    assert [FOUND.n_robust(radius) for radius in (0.4, 0.6, 1.0, 1.9, 2.1, 9.0)] == [3, 2, 2, 2, 1, 1]


def test_at_a_radius_that_was_decided_nothing_is_guessed():
    """What withstood it counts, what broke there does not."""
    decided = StoredBrackets(lower=(1.0, 0.0, 0.9), upper=(4.0, 1.0, 1.0))
    assert decided.n_robust(1.0) == 1
    assert decided.n_unknown(1.0) == 0


def test_what_is_not_known_is_counted():
    """Between the ends of a bracket nobody knows, and above what was tried of an unbroken example neither."""
    assert [FOUND.n_unknown(radius) for radius in (0.5, 1.0, 1.5, 5.0)] == [1, 0, 1, 1]


def test_the_median_is_over_correct_examples():
    """Infinite where half of them were never broken, none where none is correct."""
    assert FOUND.median == 2.0
    assert StoredBrackets(lower=(0.0,), upper=(0.0,)).median is None
    assert StoredBrackets(lower=(1.0,), upper=(None,)).median == math.inf
