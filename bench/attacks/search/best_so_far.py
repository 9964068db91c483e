"""What a stage has found so far: the best iterate of every example, and which examples are done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from bench.attacks.search.batching import pick
from bench.attacks.search.gradients import predict
from bench.core.types import Classifier, Examples
from bench.ops import losses
from bench.ops.choosing import chosen_rows

__all__ = ["Best", "BestSoFar", "Rows", "Verdict", "judge"]

LOWEST = float(torch.finfo(torch.float32).min)
"""The margin of logits that are not finite."""
LOOK_EVERY = 8
"""On an accelerator, how many steps pass between two looks at what is broken: each look waits for the device."""
SURE = 0.75
"""OUR CHOICE: share of a stochastic model's passes that err where a search believes that a point breaks it."""
ERRORS = 2.0
"""OUR CHOICE: standard errors of the mean margin that a later iterate may lie above the best one and take its place. An
ascent goes down in the mean, and an iterate that was lucky would stay: of 192 examples at a noisy net's boundary the
luckiest iterates of PGD broke 145 to 150, these 152, as many as the last iterates."""
NO_RUN = 2**62
"""Later than every run."""
_OF_PASSES = 3


class Verdict(NamedTuple):
    """What logits say about examples: the margin `(N,)`, and whether the example is broken, bool `(N,)`.

    Broken is what torch's argmax says, ties included. Logits that are not finite count as broken, with the lowest
    margin, since the harness never counts them as robust.

    Of a stochastic model `chance`, `(N,)`, is by how much passes of other draws may move the margin.
    """

    margins: Tensor
    broken: Tensor
    chance: Tensor | float = 0.0


def judge(logits: Tensor, labels: Tensor) -> Verdict:
    """Judge logits `(N, K)` against labels `(N,)`.

    Of several passes, `(N, passes, K)`, the margin is the mean, and three quarters have to err: more than decide the
    harness's verdict, since the best of many points is a lucky one, and other passes will judge it.
    """
    if logits.ndim == _OF_PASSES:
        count = logits.shape[1]
        each = judge(logits.flatten(0, 1), labels.repeat_interleave(count))
        rows = each.margins.view(-1, count)
        margins = rows.mean(dim=1)
        # Not torch's own deviation, which warns of batches without rows.
        errors = ((rows - margins[:, None]).square().sum(dim=1) / (count * (count - 1))).sqrt()
        broken = each.broken.view(-1, count).sum(dim=1) >= math.ceil(SURE * count)
        return Verdict(margins=margins, broken=broken, chance=ERRORS * errors)
    finite = logits.abs().amax(dim=1) < float("inf")
    margins = torch.where(finite, losses.margin(logits, labels), LOWEST)
    return Verdict(margins=margins, broken=(logits.argmax(dim=1) != labels) | ~finite)


@dataclass(kw_only=True)
class Best:
    """The best point of each row of a run: a broken one, else the one of smallest margin.

    Args:
        points: `(N, C, H, W)`.
        margins: `(N,)`.
        broken: bool `(N,)`.
        until_broken: whether a row is final once it is broken, so that results do not depend on when it leaves its
            batch; else it stays, and goes on to smaller margins.
    """

    points: Tensor
    margins: Tensor
    broken: Tensor
    until_broken: bool = True

    @classmethod
    def none_yet(cls, like: Tensor, *, until_broken: bool = True) -> Best:
        """Before anything was judged; `like` is `(N, C, H, W)`."""
        return cls(
            points=like,
            margins=like.new_full((len(like),), float("inf")),
            broken=torch.zeros(len(like), dtype=torch.bool, device=like.device),
            until_broken=until_broken,
        )

    def note(self, points: Tensor, verdict: Verdict, *, allowed: Tensor | None = None) -> None:
        """Take in points where they are better; of a stochastic model, where they are not surely worse.

        Args:
            points: `(N, C, H, W)`.
            verdict: of their logits.
            allowed: bool `(N,)`, which points lie inside the ball; None means all.
        """
        better = verdict.margins < self.margins + verdict.chance
        if self.until_broken:
            better = (verdict.broken | better) & ~self.broken
        else:  # of equal margins one breaks, where a tie goes to another class
            better |= verdict.broken & ~self.broken & (verdict.margins <= self.margins)
        if allowed is not None:
            better &= allowed
        self.points = chosen_rows(better, points, self.points)
        self.margins = torch.where(better, verdict.margins, self.margins)
        self.broken = self.broken | (better & verdict.broken)

    def remaining(self, *, step: int) -> Tensor | None:
        """Rows that go on, int64 `(M,)`, or None where the batch stays as it is.

        On a CPU every finished row leaves at once. Elsewhere this looks every few steps, and rows leave when fewer than
        half go on, so that the device is seldom waited for and shapes seldom change.
        """
        on_cpu = self.broken.device.type == "cpu"
        if not self.until_broken or (not on_cpu and step % LOOK_EVERY):
            return None
        n_broken = int(self.broken.sum())
        if n_broken == 0 or (not on_cpu and 2 * n_broken < len(self.broken) and n_broken < len(self.broken)):
            return None
        return (~self.broken).nonzero().squeeze(1)


class Rows(Protocol):
    """A working batch, one row per run of an example: whose it is, the run's number, and what it has found."""

    positions: Tensor
    runs: Tensor
    found: Best


R = TypeVar("R", bound=Rows)


class BestSoFar:
    """The best point of every example of a stage, over all its runs.

    A break belongs to the earliest run that has one. Where nothing broke the smallest margin counts, of equal ones that
    of the earliest run. So it does not matter which runs share a batch.

    Args:
        points: what an example keeps of which nothing was judged, `(N, C, H, W)`.
    """

    def __init__(self, points: Tensor) -> None:
        self.best = Best.none_yet(points.clone())
        self._broken_by = torch.full((len(points),), NO_RUN, dtype=torch.int64, device=points.device)

    @classmethod
    def from_clean(cls, classifier: Classifier, examples: Examples) -> tuple[BestSoFar, Tensor]:
        """Begin with the clean inputs; return their logits `(N, K)` too, the stage's only clean forward pass."""
        best = cls(examples.inputs)
        logits = predict(classifier, examples.inputs)
        best.note(examples.inputs, judge(logits, examples.labels))
        return best, logits

    @property
    def points(self) -> Tensor:
        """What the stage returns, `(N, C, H, W)`."""
        return self.best.points

    def note(self, points: Tensor, verdict: Verdict, *, rows: Tensor | None = None) -> None:
        """Take in a point of every example, or of `rows` `(M,)`, that is no run's; what it breaks, no run gets."""
        if rows is None:
            self.best.note(points, verdict)
        else:
            found = pick(self.best, rows)
            found.note(points, verdict)
            self._enter(rows, found)
        self._broken_by[self.best.broken] = -1

    def settle(self, rows: Rows) -> None:
        """Enter what the rows of a batch found; an example may have several, of different runs."""
        positions, runs, found = rows.positions, rows.runs, rows.found
        breaking = torch.where(found.broken, runs, NO_RUN)
        self._broken_by = self._broken_by.scatter_reduce(0, positions, breaking, "amin")
        first = self._broken_by[positions]
        lower = found.margins < self.best.margins[positions]
        margins = torch.where((first == NO_RUN) & lower, found.margins, float("inf"))
        least = torch.full_like(self.best.margins, float("inf")).scatter_reduce(0, positions, margins, "amin")
        closest = torch.where((margins < float("inf")) & (margins == least[positions]), runs, NO_RUN)
        earliest = torch.full_like(self._broken_by, NO_RUN).scatter_reduce(0, positions, closest, "amin")
        wins = (breaking == first) & found.broken | (closest == earliest[positions]) & (closest < NO_RUN)
        winners = wins.nonzero().squeeze(1)
        self._enter(positions[winners], pick(found, winners))

    def _enter(self, places: Tensor, found: Best) -> None:
        self.best.points[places] = found.points
        self.best.margins[places] = found.margins
        self.best.broken[places] = found.broken

    def dismiss(self, rows: R, *, step: int) -> R:
        """Let rows go that are broken, or whose example an earlier run has broken, after settling all of them."""
        if rows.found.remaining(step=step) is None:
            return rows
        self.settle(rows)
        goes_on = ~rows.found.broken & (rows.runs < self._broken_by[rows.positions])
        return pick(rows, goes_on.nonzero().squeeze(1))

    def open(self) -> Tensor:
        """Positions of the examples that are not broken, int64 `(M,)`."""
        return (~self.best.broken).nonzero().squeeze(1)
