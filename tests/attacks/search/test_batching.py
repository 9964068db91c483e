from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from bench.attacks.search.batching import batches, joined
from bench.attacks.search.best_so_far import NO_RUN, Best, BestSoFar


@dataclass(kw_only=True)
class Rows:
    """What is seen of a working batch."""

    positions: torch.Tensor
    runs: torch.Tensor
    found: Best


def rows(positions, runs, margins, broken) -> Rows:
    points = torch.arange(len(runs), dtype=torch.float32).reshape(-1, 1, 1, 1) + 1
    found = Best(points=points, margins=torch.tensor(margins), broken=torch.tensor(broken))
    return Rows(positions=torch.tensor(positions), runs=torch.tensor(runs), found=found)


def best_of(count: int) -> BestSoFar:
    return BestSoFar(torch.zeros(count, 1, 1, 1))


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


def test_a_break_belongs_to_the_earliest_run() -> None:
    """Whatever the order in which runs report, and whatever the margins."""
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        best = best_of(2)
        given = rows([1, 1, 1], [0, 3, 5], [0.5, -1.0, -9.0], [False, True, True])
        for number in order:
            best.settle(_one(given, number))
        assert best.points[1].item() == 2
        assert best.best.broken.tolist() == [False, True]
    together = best_of(2)
    together.settle(rows([1, 1, 1], [0, 3, 5], [0.5, -1.0, -9.0], [False, True, True]))
    assert together.points[1].item() == 2


def test_without_a_break_the_smallest_margin_counts_and_of_equals_the_earliest() -> None:
    """Also when all come in one batch, in any order."""
    best = best_of(1)
    best.settle(rows([0, 0, 0], [4, 2, 1], [0.2, 0.2, 0.3], [False] * 3))
    assert (best.points.item(), best.best.margins.item()) == (2, pytest.approx(0.2))
    best.settle(rows([0], [0], [0.25], [False]))
    assert best.points.item() == 2


def test_rows_leave_when_they_or_an_earlier_run_of_their_example_are_broken() -> None:
    """Later runs of a broken example stop; earlier ones go on, since their break would count."""
    best = best_of(2)
    left = best.dismiss(rows([0, 0, 0, 1], [0, 1, 2, 1], [1.0, -1.0, 1.0, 1.0], [False, True, False, False]), step=0)
    assert list(zip(left.positions.tolist(), left.runs.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert best.open().tolist() == [1]
    assert NO_RUN > 10**9


def _one(given: Rows, number: int) -> Rows:
    found = Best(**{name: getattr(given.found, name)[number : number + 1] for name in ("points", "margins", "broken")})
    return Rows(positions=given.positions[number : number + 1], runs=given.runs[number : number + 1], found=found)
