"""On how many examples models are ranked."""

from __future__ import annotations

import pytest

from bench import data
from bench.row.splits import RANKED_EXAMPLES, TEST_SPLITS, ranked_examples


@pytest.mark.parametrize("spec", list(data.DATASETS), ids=lambda spec: spec.name)
def test_the_whole_of_a_small_split_is_ranked(spec: data.DatasetSpec) -> None:
    """What the board knows of a data set is what the data set says."""
    assert ranked_examples(spec.name) == min(spec.sizes["test"], RANKED_EXAMPLES)


def test_an_unknown_data_set_needs_the_usual_number() -> None:
    """A user's own data."""
    assert ranked_examples("mine") == RANKED_EXAMPLES


@pytest.mark.parametrize("spec", list(data.DATASETS), ids=lambda spec: spec.name)
def test_rows_are_held_against_the_split_that_there_is(spec: data.DatasetSpec) -> None:
    """The size that rows and evidence may have is the data set's."""
    assert TEST_SPLITS[spec.name].size == spec.sizes["test"]


def test_shapes_are_those_of_the_data() -> None:
    """As far as the data is at hand everywhere."""
    assert TEST_SPLITS["digits"].shape == data.load("digits").shape
