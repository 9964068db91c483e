"""Ranks that chance does not decide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.statistics import mcnemar
from bench.leaderboard.compare.ranking import Rank, rank


def test_an_intransitive_triple_has_ranges_and_no_ladder() -> None:
    """A beats C, while B ties with both: A is 1 or 2, C is 2 or 3, B could be anywhere.

    Of 100 examples A withstands 60, B 54 and C 48, each less robust one on a subset: 12 flips one way are significant
    (p = 2 ** -11, against 0.05 / 3), 6 are not (p = 2 ** -5).
    """
    triple = [[place < count for place in range(100)] for count in (60, 54, 48)]
    assert [mcnemar(0, 12), mcnemar(0, 6)] == [2**-11, 2**-5]
    assert rank(triple) == (Rank(1, 2), Rank(1, 3), Rank(2, 3))
    assert [str(place) for place in rank(triple)] == ["1\N{EN DASH}2", "1\N{EN DASH}3", "2\N{EN DASH}3"]


def test_more_models_make_the_same_difference_less_certain() -> None:
    """Six flips one way decide between two models; among five models the same six are one of ten questions."""
    best = [True] * 100
    other = [place >= 6 for place in range(100)]
    assert rank([best, other]) == (Rank(1, 1), Rank(2, 2))
    assert rank([best, best, best, best, other]) == (Rank(1, 5),) * 5


def test_the_same_count_is_not_the_same_rank_by_count() -> None:
    """Only shared examples decide: equal counts on other examples tie, whatever the order of the models."""
    first = [place < 50 for place in range(100)]
    assert rank([first, first[::-1]]) == (Rank(1, 2), Rank(1, 2))


def test_one_model_and_none() -> None:
    """A board of one has a winner, an empty one no rank."""
    assert rank([[True]]) == (Rank(1, 1),)
    assert rank([]) == ()


def test_models_on_other_examples_are_refused() -> None:
    """A programmer's error."""
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        rank([[True], [True, False]])


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=6))
def test_ranks_fit_each_other(verdicts: list[list[bool]]) -> None:
    """Best is never behind worst, the ends are within the board, and the order of the models changes nothing."""
    places = rank(verdicts)
    assert all(1 <= place.best <= place.worst <= len(verdicts) for place in places)
    assert rank(verdicts[::-1]) == places[::-1]
    assert sum(place.best - 1 for place in places) == sum(len(verdicts) - place.worst for place in places)


def test_what_an_audit_leaves_open_decides_no_rank() -> None:
    """The better one has to stay so wherever those are that may not be robust; those of the other change nothing.

    Of 20 examples that it alone withstands: at worst the other alone withstands as many as are open.
    """
    best, other = [True] * 100, [place >= 20 for place in range(100)]
    apart, tied = (Rank(1, 1), Rank(2, 2)), (Rank(1, 2), Rank(1, 2))
    assert mcnemar(20, 8) < 0.05 < mcnemar(20, 9)
    assert rank([best, other], undecided=[8, 0]) == apart
    assert rank([best, other], undecided=[9, 0]) == tied
    alone = [place < 30 for place in range(200)]
    few = [100 <= place < 110 for place in range(200)]
    assert mcnemar(23, 10) < 0.05 < mcnemar(22, 10)
    assert rank([alone, few], undecided=[7, 0]) == apart
    assert rank([alone, few], undecided=[8, 0]) == tied
    assert rank([best, other], undecided=[100, 0]) == tied
    assert rank([other, best], undecided=[80, 0]) == apart[::-1]
