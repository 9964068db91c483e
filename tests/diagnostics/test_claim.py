from __future__ import annotations

import pytest

from bench.diagnostics.claim import contradiction
from bench.models import Accuracy


def claim(n_correct: int, n_examples: int) -> Accuracy:
    return Accuracy(name="clean", checkpoint="best", split="test", n_examples=n_examples, n_correct=n_correct)


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
        (4225, 5_000, False),
        (4150, 5_000, True),
        (8441, 9_990, False),
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
