"""R8: does the gradient tell the truth?

What the gradient predicts is compared with what happens, for steps along its sign, against it, and in random
directions. At one scale at least, epsilon / 100 to epsilon / 4, it has to explain half of what happens (k-winners-
take-all, wrong backward passes and noise that depends on the input explain none of it), and at the scale of an attack's
step following it has to gain a tenth of what it promises (a loss with spikes finer than a step gains nothing).

OUR CHOICE of scales and shares; honest models, robust and plain, explain more than 0.9 at the best scale and gain more
than 0.4. Related: Pintor et al. 2022 (arXiv 2106.09947), indicator "unstable predictions".
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.core.types import Examples
from bench.diagnostics import points
from bench.diagnostics.asking import predict, slope
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.search import margin
from bench.diagnostics.subject import Subject
from bench.ops import norms
from bench.row.check_result import CheckResult

__all__ = ["ENTRY"]

SCALES = (1 / 100, 1 / 20, 1 / 4)
DIRECTIONS = 8
EXPLAINED = 0.5
GAINED = 0.1
TOLERATED = 0.05


def _examine(subject: Subject) -> CheckResult:
    examples = subject.correct
    best = torch.full(examples.labels.shape, -torch.inf, dtype=torch.float64, device=examples.labels.device)
    gain = best
    for predicted, actual in _moves(subject, examples):
        best = torch.maximum(best, _explained(predicted, actual))
        gain = actual[:, 0] / predicted[:, 0]
    untrue, useless = ~(best >= EXPLAINED), ~(gain >= GAINED)
    evidence = (
        f"Of {len(examples)} correct examples, the gradient explains less than half of what happens at any scale on"
        f" {int(untrue.sum())}, and a step along it gains less than a tenth of what it promises on"
        f" {int(useless.sum())}."
    )
    return by_share(int((untrue | useless).sum()), len(examples), tolerated=TOLERATED, evidence=evidence)


def _moves(subject: Subject, examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
    """Predicted and actual changes of the margin, `(N, 2 + DIRECTIONS)`, for each scale; the gradient's sign first."""
    threat_model, labels = subject.threat_model, examples.labels
    start = points.inside_ball(examples, threat_model, seed=subject.seed, number=1)
    seen = slope(subject.classifier, start, lambda logits, rows: margin(logits, labels[rows]))
    gradient = seen.gradient.nan_to_num(0.0, 0.0, 0.0)
    uphill = norms.direction(gradient, threat_model.norm)
    headings = [uphill, -uphill]
    for number in range(DIRECTIONS if subject.thorough else DIRECTIONS // 2):
        random = points.signs(examples, seed=subject.seed, number=10 + number)
        headings.append(norms.direction(random, threat_model.norm))
    for scale in SCALES:
        predicted, actual = [], []
        for heading in headings:
            moved = (start + scale * float(threat_model.epsilon) * heading).clamp(0, 1)
            predicted.append((gradient.double() * (moved - start).double()).flatten(1).sum(1))
            actual.append(margin(predict(subject.classifier, moved), labels).double() - seen.values.double())
        yield torch.stack(predicted, 1), torch.stack(actual, 1)


def _explained(predicted: Tensor, actual: Tensor) -> Tensor:
    """Share of the actual change that the prediction explains, `(N,)`: 1 at best, below 0 where it misleads."""
    missed = (actual - predicted).square().sum(1)
    return (1 - missed / actual.square().sum(1)).nan_to_num(nan=-torch.inf)


ENTRY = Check(
    id="R8",
    question="Does the gradient predict what happens?",
    examine=_examine,
    next="Average the gradient over 100 noisy copies (sigma epsilon / 2); run Square with 5,000 queries; transfer in.",
    effort=40,
    short=20,
)
