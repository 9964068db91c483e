"""Results of a stage are put together and divided without a verdict or a pass being lost."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.results import StageResult
from bench.row.arrays.adversarials import Breaks


def result(n_examples: int, **values: object) -> StageResult:
    """What a stage did to examples that it saw, every third of them broken."""
    robust = tuple(position % 3 > 0 for position in range(n_examples))
    columns = {
        "attacked": (True,) * n_examples,
        "robust": robust,
        "margin": tuple(1.0 if held else -1.0 for held in robust),
        "finite": (True,) * n_examples,
        "right": tuple(map(int, robust)),
        "moved": tuple(position % 2 > 0 for position in range(n_examples)),
        "claimed": tuple(not held for held in robust),
        "rejected": (False,) * n_examples,
    }
    return StageResult(**{"name": "stage", "batch_size": 64, **columns, **values})  # type: ignore[arg-type]


def breaks_of(*indices: int) -> Breaks:
    """One break of each of these examples."""
    count = len(indices)
    return Breaks(
        indices=np.array(indices, np.int64),
        labels=np.zeros(count, np.int64),
        predictions=np.ones(count, np.int64),
        margins=np.full(count, -1, np.float32),
        rounded=np.ones(count, np.bool_),
        deltas=np.ones((count, 1, 2, 2), np.int8),
        exact=np.empty((0, 1, 2, 2), np.float32),
    )


@given(
    masks=st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=6),
    forwards=st.integers(0, 1000),
    backwards=st.integers(0, 1000),
)
def test_chunks_together_are_the_task(masks: list[list[bool]], forwards: int, backwards: int) -> None:
    """Whatever the masks: verdicts stay where they are, counts and passes add up, nobody unseen has a verdict."""
    flat = [seen for mask in masks for seen in mask]
    found = result(sum(flat), forwards=forwards, backwards=backwards, seconds=3.0)
    whole = found.spread(flat)
    ends = np.cumsum([0, *map(len, masks)]).tolist()
    parts = whole.split([range(start, end) for start, end in itertools.pairwise(ends)])
    again = StageResult.concat(parts)
    seen_by_all = forwards if any(flat) else 0
    assert again.forwards == seen_by_all and again.backwards == (backwards if any(flat) else 0)
    assert again.seconds == pytest.approx(3.0 if any(flat) else 0.0)
    assert dataclasses.replace(again, forwards=forwards, backwards=backwards, seconds=3.0) == whole
    assert [part.attacked for part in parts] == [tuple(mask) for mask in masks]
    assert whole.pick([place for place, seen in enumerate(flat) if seen]) == found
    unseen = whole.pick([place for place, seen in enumerate(flat) if not seen])
    assert not any((*unseen.robust, *unseen.moved, *unseen.claimed)) and all(unseen.finite)
    assert set(unseen.margin) <= {math.inf}


def test_each_chunk_keeps_the_breaks_of_its_examples() -> None:
    """By official index; a chunk without any has none."""
    found = result(6, breaks=breaks_of(10, 12, 30))
    first, second, third = found.split([(10, 11, 12), (20, 21), (30,)])
    assert first.breaks is not None and first.breaks.indices.tolist() == [10, 12]
    assert second.breaks is None
    assert third.breaks is not None and third.breaks.indices.tolist() == [30]
    together = StageResult.concat([first, second, third]).breaks
    assert together is not None and together.indices.tolist() == [10, 12, 30]


def test_two_passes_of_a_stage_on_different_examples_are_one_result() -> None:
    """Each example has the verdict of the pass that saw it, and both passes' work counts."""
    first = result(2, forwards=5, batch_size=64).spread([True, False, True, False])
    second = result(2, forwards=7, batch_size=32).spread([False, True, False, True])
    both = first.beside(second)
    assert both.attacked == (True,) * 4 and both.robust == (False, False, True, True)
    assert both.n_claimed == 2 and both.forwards == 12 and both.batch_size == 32


def test_what_was_spared_counts_as_robust() -> None:
    """And has no other verdict."""
    found = result(2).spread([True, False, True]).sparing([False, True, False])
    assert found.robust == (False, True, True) and found.n_robust == 2 and not found.attacked[1]
