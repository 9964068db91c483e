from __future__ import annotations

import pytest
import torch

from bench.attacks.search.batching import batches, joined


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_every_run_meets_every_open_example_once_and_batches_stay_full(size) -> None:
    """Runs in order, at most so many rows at once, and only the last batch has fewer."""
    found = [joined(parts) for parts in batches(3, lambda: torch.arange(4), size=size)]
    pairs = [pair for positions, runs in found for pair in zip(runs.tolist(), positions.tolist(), strict=True)]
    assert pairs == [(run, position) for run in range(3) for position in range(4)]
    assert [len(runs) for _, runs in found[:-1]] == [size] * (len(found) - 1)


def test_examples_that_break_take_no_later_run() -> None:
    """What is open is asked before each batch; nothing open ends it."""
    open_now = iter([torch.arange(4), torch.tensor([1, 3]), torch.tensor([], dtype=torch.int64)])
    found = [joined(parts) for parts in batches(9, lambda: next(open_now), size=4)]
    assert [(p.tolist(), r.tolist()) for p, r in found[:2]] == [([0, 1, 2, 3], [0] * 4), ([1, 3, 1, 3], [1, 1, 2, 2])]
    assert len(found) == 2
