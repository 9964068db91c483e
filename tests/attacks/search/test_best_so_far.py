from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from bench.attacks.search.best_so_far import NO_RUN, Best, BestSoFar, Verdict, judge


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


def test_logits_that_are_not_finite_are_broken() -> None:
    """As for the harness, wherever they are, and with a margin below all others."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, -torch.inf], [2.0, torch.nan, 0.0], [torch.inf, 1.0, 0.0]])
    verdict = judge(logits, torch.zeros(4, dtype=torch.int64))
    assert verdict.broken.tolist() == [False, True, True, True]
    assert (verdict.margins[1:] < -1e30).all()


def test_a_tie_is_what_argmax_says() -> None:
    """The first of equal logits is the model's class."""
    tie = torch.tensor([[1.0, 1.0]])
    assert judge(tie, torch.tensor([0])).broken.tolist() == [False]
    assert judge(tie, torch.tensor([1])).broken.tolist() == [True]


def test_a_row_is_final_once_broken_unless_it_goes_on() -> None:
    """The first break stays where a search stops there; else smaller margins follow it."""
    labels, logits = torch.tensor([0]), (torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0]]))
    for until_broken, kept in ((True, 0.0), (False, 1.0)):
        best = Best.none_yet(torch.zeros(1, 1, 1, 1), until_broken=until_broken)
        for number, each in enumerate(logits):
            best.note(torch.full((1, 1, 1, 1), float(number)), judge(each, labels))
        assert (best.points.item(), best.broken.item()) == (kept, True)
        assert (best.remaining(step=0) is None) != until_broken


@pytest.mark.parametrize("until_broken", [False, True])
def test_of_equal_margins_the_break_counts(until_broken) -> None:
    """A tie that goes to another class is a break, whichever of the two comes first."""
    points = torch.arange(2.0).reshape(2, 1, 1, 1, 1)
    for order in ((0, 1), (1, 0)):
        best = Best.none_yet(points[0], until_broken=until_broken)
        for number in order:
            best.note(points[number], Verdict(torch.zeros(1), torch.tensor([number == 1])))
        assert best.points.item() == 1 and best.broken.item()
