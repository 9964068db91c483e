"""Search in low precision, believe only float32.

A stage runs on a fast, inexact copy of the model. Every break that it claims is checked on the exact one; an example
whose break does not hold is searched again in float32, once; every other survivor gets a short float32 climb from its
best iterate. What remains is missed breaks, the dangerous side: they are to be measured against an all-float32 run.

Off unless the harness asks for it, and worth asking only where the inexact copy is measured faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from bench.attacks.autoattack.fast.apgd_state import ApgdState
from bench.attacks.autoattack.fast.ball import Ball
from bench.attacks.autoattack.fast.checkpoints import windows
from bench.attacks.autoattack.fast.ledger import Best, Verdict, judge
from bench.attacks.autoattack.fast.model_calls import differentiate, predict
from bench.attacks.autoattack.fast.rows import pick
from bench.attacks.autoattack.fast.targets import gap, rank
from bench.core.types import Classifier, Examples, ThreatModel

__all__ = ["Climbed", "Search", "climb"]

POLISH_STEPS = 20
POLISH_TARGETS = 3
POLISH_STEP_SIZE = 1 / 8
"""First step relative to that of a whole run: epsilon / 4, since the start is good already."""
_RHO = 0.75

Search = Callable[[Classifier, Examples], Tensor]
"""A stage with all but classifier and examples decided; returns the best points, `(N, C, H, W)`."""


class Climbed(NamedTuple):
    """What the ladder found: points `(N, C, H, W)`, breaks claimed in low precision, and how many were refused."""

    points: Tensor
    n_claimed: int
    n_refused: int


def climb(search: Search, low: Classifier, exact: Classifier, examples: Examples, threat_model: ThreatModel) -> Climbed:
    """Run `search` on the inexact classifier, and settle every verdict on the exact one.

    Args:
        search: the stage.
        low: the inexact classifier.
        exact: the float32 classifier.
        examples: what to attack, N at least 0.
        threat_model: within which ball.
    """
    if not len(examples):
        return Climbed(points=examples.inputs, n_claimed=0, n_refused=0)
    points = search(low, examples)
    claimed = judge(predict(low, points), examples.labels).broken
    best = Best.none_yet(examples.inputs)
    best.note(points, judge(predict(exact, points), examples.labels))
    refused = (claimed & ~best.broken).nonzero().squeeze(1)
    if len(refused):
        found = search(exact, examples[refused])
        _replace(best, refused, _noted(best, refused, found, judge(predict(exact, found), examples.labels[refused])))
    survivors = (~best.broken).nonzero().squeeze(1)
    if len(survivors):
        _replace(best, survivors, _polished(exact, examples[survivors], pick(best, survivors), threat_model))
    return Climbed(points=best.points, n_claimed=int(claimed.sum()), n_refused=len(refused))


def _noted(best: Best, rows: Tensor, points: Tensor, verdict: Verdict) -> Best:
    entry = pick(best, rows)
    entry.note(points, verdict)
    return entry


def _replace(best: Best, rows: Tensor, entry: Best) -> None:
    best.points = best.points.index_copy(0, rows, entry.points)
    best.margins = best.margins.index_copy(0, rows, entry.margins)
    best.broken = best.broken.index_copy(0, rows, entry.broken)


def _polished(classifier: Classifier, examples: Examples, best: Best, threat_model: ThreatModel) -> Best:
    """Twenty APGD steps on the margin to each of the three closest classes, from the best points in float32."""
    ball = Ball.around(examples.inputs, threat_model)
    for targets in rank(predict(classifier, best.points), examples.labels, POLISH_TARGETS).unbind(1):
        state = ApgdState.at(best.points, ball, positions=examples.indices, labels=examples.labels, targets=targets)
        state.found = best
        state.step_size = state.step_size * POLISH_STEP_SIZE
        _margin_steps(classifier, state)
        best = state.found
    return best


def _margin_steps(classifier: Classifier, state: ApgdState) -> None:
    checkpoints = windows(POLISH_STEPS)
    objective = functools.partial(gap, labels=state.labels, targets=state.targets)
    for step in range(POLISH_STEPS):
        seen = differentiate(classifier, state.current, objective)
        state.found.note(state.current, judge(seen.logits, state.labels))
        state.observe(seen.values, seen.gradient, first=step == 0)
        if step in checkpoints:
            state.check(window=checkpoints[step], rho=_RHO)
        state.advance(first=step == 0)
    state.found.note(state.current, judge(predict(classifier, state.current), state.labels))
