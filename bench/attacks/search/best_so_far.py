"""What a stage has found so far: the best iterate of every example, and which examples are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from bench.attacks.ascent import LOOK_EVERY
from bench.attacks.search.gradients import predict
from bench.attacks.search.rows import pick
from bench.core.types import Classifier, Examples
from bench.ops import losses
from bench.ops.choosing import chosen_rows

__all__ = ["Best", "Ledger", "Rows", "Verdict", "judge", "open_ledger"]

LOWEST = float(torch.finfo(torch.float32).min)
"""The margin of logits that are not finite."""
NO_RUN = 2**62
"""Later than every run."""


class Verdict(NamedTuple):
    """What logits say about examples: the margin `(N,)`, and whether the example is broken, bool `(N,)`.

    Broken is what torch's argmax says, ties included. A margin that is not finite counts as broken and as the lowest,
    since the harness never counts such logits as robust.
    """

    margins: Tensor
    broken: Tensor


def judge(logits: Tensor, labels: Tensor) -> Verdict:
    """Judge logits `(N, K)` against labels `(N,)`."""
    margins = losses.margin(logits, labels)
    margins = torch.nan_to_num(margins, nan=LOWEST, posinf=LOWEST, neginf=LOWEST)
    return Verdict(margins=margins, broken=(logits.argmax(dim=1) != labels) | (margins == LOWEST))


@dataclass(kw_only=True)
class Best:
    """The best point of each row of a run: a broken one, else the one of smallest margin.

    A row is final once it is broken, so that results do not depend on when it leaves its batch.

    Args:
        points: `(N, C, H, W)`.
        margins: `(N,)`.
        broken: bool `(N,)`.
    """

    points: Tensor
    margins: Tensor
    broken: Tensor

    @classmethod
    def none_yet(cls, like: Tensor) -> Best:
        """Before anything was judged; `like` is `(N, C, H, W)`."""
        return cls(
            points=like,
            margins=like.new_full((len(like),), float("inf")),
            broken=torch.zeros(len(like), dtype=torch.bool, device=like.device),
        )

    def note(self, points: Tensor, verdict: Verdict, *, allowed: Tensor | None = None) -> None:
        """Take in points where they are better.

        Args:
            points: `(N, C, H, W)`.
            verdict: of their logits.
            allowed: bool `(N,)`, which points lie inside the ball; None means all.
        """
        better = (verdict.broken | (verdict.margins < self.margins)) & ~self.broken
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
        if not on_cpu and step % LOOK_EVERY:
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


class Ledger:
    """The best point of every example of a stage, over all its runs.

    A break belongs to the earliest run that has one. Where nothing broke the smallest margin counts, of equal ones that
    of the earliest run. So it does not matter which runs share a batch.

    Args:
        examples: those that the stage attacks.
    """

    def __init__(self, examples: Examples) -> None:
        self.best = Best.none_yet(examples.inputs.clone())
        self._broken_by = torch.full_like(examples.labels, NO_RUN)

    @property
    def points(self) -> Tensor:
        """What the stage returns, `(N, C, H, W)`."""
        return self.best.points

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
        self._enter(positions, found, wins.nonzero().squeeze(1))

    def _enter(self, positions: Tensor, found: Best, winners: Tensor) -> None:
        places = positions[winners]
        self.best.points[places] = found.points[winners]
        self.best.margins[places] = found.margins[winners]
        self.best.broken[places] = found.broken[winners]

    def dismiss(self, rows: R, *, step: int) -> R:
        """Let rows go that are broken, or whose example an earlier run has broken, after settling all of them."""
        if rows.found.remaining(step=step) is None:
            return rows
        self.settle(rows)
        goes_on = ~rows.found.broken & (rows.runs < self._broken_by[rows.positions])
        return pick(rows, goes_on.nonzero().squeeze(1))

    def close(self) -> None:
        """Keep what is broken already from every run."""
        self._broken_by[self.best.broken] = -1

    def open(self) -> Tensor:
        """Positions of the examples that are not broken, int64 `(M,)`."""
        return (~self.best.broken).nonzero().squeeze(1)


def open_ledger(classifier: Classifier, examples: Examples) -> tuple[Ledger, Tensor]:
    """A ledger that holds the clean inputs, and their logits `(N, K)`: the stage's only clean forward pass."""
    ledger = Ledger(examples)
    logits = predict(classifier, examples.inputs)
    ledger.best.note(examples.inputs, judge(logits, examples.labels))
    ledger.close()
    return ledger, logits
