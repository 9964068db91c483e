from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.diagnostics.claim import contradiction, surprise
from bench.models import Accuracy


def claim(n_correct: int, n_examples: int) -> Accuracy:
    return Accuracy(name="clean", checkpoint="best", split="test", n_examples=n_examples, n_correct=n_correct)


def test_surprise_of_a_count_by_hand():
    """4 of 8 are right; none among 2 drawn: (4 choose 2) / (8 choose 2) = 6/28, on two sides 12/28."""
    assert surprise(claim(4, 8), n_clean=0, n_examples=2) == pytest.approx(12 / 28)


@given(st.integers(1, 60), st.data())
def test_surprise_is_a_probability(total, data):
    """Whatever the counts, and the likeliest count surprises nobody."""
    right = data.draw(st.integers(0, total))
    drawn = data.draw(st.integers(1, total))
    possible = range(max(0, drawn - (total - right)), min(right, drawn) + 1)
    chances = [surprise(claim(right, total), n_clean=count, n_examples=drawn) for count in possible]
    assert all(0 < chance <= 1 for chance in chances)
    assert max(chances) > 0.5


@pytest.mark.parametrize(
    ("n_clean", "n_examples", "doubted"),
    [
        (8450, 10_000, False),
        (8455, 10_000, False),  # rounding on another machine
        (8456, 10_000, True),
        (8444, 10_000, True),
        (54, 64, False),
        (47, 64, False),  # chance
        (30, 64, True),
        (1, 20_000, False),  # more examples than the claim is about
    ],
)
def test_a_claim_of_8450_of_10000(n_clean, n_examples, doubted):
    """All examples: to rounding. Some of them: to chance."""
    found = contradiction(claim(8450, 10_000), n_clean=n_clean, n_examples=n_examples)
    assert (found is not None) == doubted
    assert found is None or f"{n_clean} of {n_examples}" in found


def test_without_a_claim_there_is_nothing_to_doubt():
    """A user's own model claims nothing."""
    assert contradiction(None, n_clean=0, n_examples=10) is None
