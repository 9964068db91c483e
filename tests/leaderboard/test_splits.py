"""On how many examples models are ranked."""

from __future__ import annotations

import pytest

from bench import data
from bench.leaderboard.splits import RANKED_EXAMPLES, ranked_examples


@pytest.mark.parametrize("spec", list(data.DATASETS), ids=lambda spec: spec.name)
def test_the_whole_of_a_small_split_is_ranked(spec: data.DatasetSpec) -> None:
    """What the board knows of a data set is what the data set says."""
    assert ranked_examples(spec.name) == min(spec.sizes["test"], RANKED_EXAMPLES)


def test_an_unknown_data_set_needs_the_usual_number() -> None:
    """A user's own data."""
    assert ranked_examples("mine") == RANKED_EXAMPLES
