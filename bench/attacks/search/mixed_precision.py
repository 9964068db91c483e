"""Search on a fast form of the model, believe only the original in float32.

A stage runs on the first rung, a form that answers fastest: in lower precision, or float32 with rounding of its own.
Every break that it claims is checked on the original model. After a search in lower precision, all that is not broken
gets a short float32 climb from its best iterate, refused breaks among it, unless the attack is defined by its steps. A
refused break that outlives this is searched again, once, on the next rung: its first search ended early. What remains
is missed breaks, the dangerous side: they are to be measured against an all-float32 run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.attacks.attack import Finish
from bench.attacks.search.apgd_state import ApgdState
from bench.attacks.search.ball import Ball
from bench.attacks.search.best_so_far import Best, Verdict, judge
from bench.attacks.search.checkpoints import windows
from bench.attacks.search.gradients import differentiate, predict
from bench.attacks.search.rows import pick
from bench.attacks.search.targets import gap, rank
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses

__all__ = ["Climbed", "Rungs", "Search", "climb"]

FINISH_STEPS = 20
FINISH_TARGETS = 3
FINISH_STEP_SIZE = 1 / 8
"""First step relative to that of a whole run: epsilon / 4, since the start is good already."""
_RHO = 0.75

Search = Callable[[Classifier, Examples], Tensor]
"""A stage with all but classifier and examples decided; returns the best points, `(N, C, H, W)`."""


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """One model in up to three forms.

    Args:
        original: float32, as it was handed in; what it says counts.
        exact: float32, in the form that answers fastest.
        low: the same in lower precision; None where the search stays in float32.
    """

    original: Classifier
    exact: Classifier
    low: Classifier | None = None


class Climbed(NamedTuple):
    """What the ladder found.

    Attributes:
        points: `(N, C, H, W)`.
        claimed: bool `(N,)`, which breaks the first rung claimed.
        refused: bool `(N,)`, which of them the original did not confirm.
    """

    points: Tensor
    claimed: Tensor
    refused: Tensor


def climb(search: Search, rungs: Rungs, examples: Examples, threat_model: ThreatModel, *, finish: Finish) -> Climbed:
    """Run `search` on the first rung, and settle every verdict on the original.

    Args:
        search: the stage.
        rungs: the model.
        examples: what to attack, N at least 0.
        threat_model: within which ball.
        finish: what the float32 climb after a search in lower precision raises: the cross-entropy, the margin of each
            of the three closest targets, or nothing: then there is none.
    """
    if not len(examples):
        none = torch.zeros(0, dtype=torch.bool, device=examples.inputs.device)
        return Climbed(points=examples.inputs, claimed=none, refused=none)
    first, second = (rungs.exact, rungs.original) if rungs.low is None else (rungs.low, rungs.exact)
    points = search(first, examples)
    claimed = judge(predict(first, points), examples.labels).broken
    if (
        finish == "nothing"
    ):  # what its gradients' passes took for broken left the search, and they round in their own way
        with_graph = differentiate(first, points, lambda logits: torch.zeros_like(logits[:, 0])).logits
        claimed = claimed | judge(with_graph, examples.labels).broken
    best = Best.none_yet(examples.inputs)
    best.note(points, judge(predict(rungs.original, points), examples.labels))
    refused = claimed & ~best.broken
    if rungs.low is not None and finish != "nothing":
        _finish(rungs.exact, examples, best, threat_model, finish)
    again = (refused & ~best.broken).nonzero().squeeze(1)
    if len(again):
        found = search(second, examples[again])
        _note(best, again, found, judge(predict(rungs.original, found), examples.labels[again]))
    return Climbed(points=best.points, claimed=claimed, refused=refused)


def _finish(classifier: Classifier, examples: Examples, best: Best, threat_model: ThreatModel, finish: Finish) -> None:
    """Twenty APGD steps from the best point of what is not broken: on the cross-entropy, or for each close target."""
    rows = (~best.broken).nonzero().squeeze(1)
    if not len(rows):
        return
    labels = examples.labels[rows]
    targets = rank(predict(classifier, best.points[rows]), labels, FINISH_TARGETS)
    for target in targets.unbind(1) if finish == "margin" else [labels]:
        left = (~best.broken[rows]).nonzero().squeeze(1)
        chosen = examples[rows[left]]
        start = pick(best, rows[left])
        ball = Ball.around(chosen.inputs, threat_model)
        state = ApgdState.at(
            start.points,
            ball,
            positions=rows[left],
            runs=torch.zeros_like(left),
            labels=chosen.labels,
            targets=target[left],
            found=start,
        )
        state.step_size = state.step_size * FINISH_STEP_SIZE
        _short_climb(classifier, state, best, finish)


def _short_climb(classifier: Classifier, state: ApgdState, best: Best, finish: Finish) -> None:
    checkpoints = windows(FINISH_STEPS)
    for step in range(FINISH_STEPS):
        if not len(state.positions):
            return
        seen = differentiate(classifier, state.current, functools.partial(_objective, state=state, finish=finish))
        state.found.note(state.current, judge(seen.logits, state.labels))
        state.observe(seen.values, seen.gradient, first=step == 0)
        if step in checkpoints:
            state.check(window=checkpoints[step], rho=_RHO)
        rows = state.found.remaining(step=step)
        if rows is not None:
            _replace(best, state.positions, state.found)
            state = pick(state, rows)
        state.advance(first=step == 0)
    if len(state.positions):
        state.found.note(state.current, judge(predict(classifier, state.current), state.labels))
        _replace(best, state.positions, state.found)


def _objective(logits: Tensor, *, state: ApgdState, finish: Finish) -> Tensor:
    if finish == "margin":
        return gap(logits, state.labels, state.targets)
    return losses.cross_entropy(logits, state.labels)


def _note(best: Best, rows: Tensor, points: Tensor, verdict: Verdict) -> None:
    entry = pick(best, rows)
    entry.note(points, verdict)
    _replace(best, rows, entry)


def _replace(best: Best, rows: Tensor, entry: Best) -> None:
    best.points = best.points.index_copy(0, rows, entry.points)
    best.margins = best.margins.index_copy(0, rows, entry.margins)
    best.broken = best.broken.index_copy(0, rows, entry.broken)
