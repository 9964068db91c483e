"""R8: does the gradient tell the truth?

What the gradient predicts is compared with what happens, for steps along its sign, against it, and in random
directions. At one scale at least, epsilon / 100 to epsilon / 4, it has to explain half of what happens (k-winners-
take-all, wrong backward passes and noise that depends on the input explain none of it), and at the scale of an attack's
step following it has to gain a tenth of what it promises (a loss with spikes finer than a step gains nothing).

Beyond the ball it has to account for the decision itself: summed along the way from an image to one of another class,
the gradient must give the change of the two classes' logits (the fundamental theorem of calculus). A decision that is
a step, however smooth the rest beside it, changes where no gradient says so.

OUR CHOICE of scales and shares; honest models, robust and plain, explain more than 0.9 at the best scale, gain more
than 0.4, and account for all but 0.15 of the way (median). Related: Pintor et al. 2022 (arXiv 2106.09947), indicator
"unstable predictions".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.core.types import Examples
from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share, worse
from bench.diagnostics.queries import predict, slope
from bench.diagnostics.subject import Subject
from bench.ops import losses, norms
from bench.ops.sampling import Stream, uniform
from bench.row import CheckResult

__all__ = ["ENTRY"]

SCALES = (1 / 100, 1 / 20, 1 / 4)
DIRECTIONS = 8
EXPLAINED = 0.5
GAINED = 0.1
TOLERATED = 0.05
FEW = 8
"""Examples of the short form."""
WAYS, PLACES = 64, 16
WAYS_IN_SHORT, PLACES_IN_SHORT = 16, 8
MISSED = 0.5
"""Share of the way's change that the gradient may leave out; 8 places are few for a curved way."""
LEFT_OUT = 0.1
"""Share of the ways of which that is tolerated."""


def _examine(subject: Subject) -> CheckResult:
    near, far = _near(subject), _far(subject)
    return replace(worse(near, far), evidence=f"{near.evidence} {far.evidence}")


def _far(subject: Subject) -> CheckResult:
    """Whether the gradient accounts for the logits' change on the way from one image to another."""
    number, places = (WAYS, PLACES) if subject.thorough else (WAYS_IN_SHORT, PLACES_IN_SHORT)
    examples = subject.correct[:number]
    others = _partners(examples.labels, subject.examples.labels)
    way = subject.examples.inputs[others] - examples.inputs
    pairs = torch.stack([examples.labels, subject.examples.labels[others]], 1)
    stream = Stream(seed=subject.seed, attack="doctor-ways")
    share = (torch.arange(places, device=way.device) + uniform(stream, examples.indices, (places,))) / places
    spots = examples.inputs[:, None] + share[:, :, None, None, None] * way[:, None]

    def change(logits: Tensor, rows: Tensor) -> Tensor:
        return logits.gather(1, rows[:, 1:])[:, 0] - logits.gather(1, rows[:, :1])[:, 0]

    many = pairs.repeat_interleave(places, 0)
    seen = slope(subject.classifier, spots.flatten(0, 1), lambda logits, rows: change(logits, many[rows]))
    along = (seen.gradient.nan_to_num(0.0, 0.0, 0.0) * way.repeat_interleave(places, 0)).flatten(1).double().sum(1)
    told = along.view(len(examples), places).mean(1)
    start, end = (predict(subject.classifier, ends) for ends in (examples.inputs, subject.examples.inputs[others]))
    happened = (change(end, pairs) - change(start, pairs)).double()
    useful = happened != 0
    missed = int((useful & ~((told - happened).abs() <= MISSED * happened.abs())).sum())
    evidence = f"Of {int(useful.sum())} ways to another image, the gradient leaves out more than half of {missed}."
    return by_share(missed, int(useful.sum()), tolerated=LEFT_OUT, evidence=evidence)


def _partners(labels: Tensor, of: Tensor) -> Tensor:
    """For each of `labels` `(M,)` a row of another label in `of` `(N,)`, or any other where all are of one."""
    rows = torch.arange(len(labels), device=labels.device)
    later = (rows[:, None] + 1 + torch.arange(len(of), device=labels.device)) % len(of)
    return later.gather(1, (of[later] != labels[:, None]).int().argmax(1, keepdim=True))[:, 0]


def _near(subject: Subject) -> CheckResult:
    examples = subject.few_correct(FEW)
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
    seen = slope(subject.classifier, start, lambda logits, rows: losses.negative_margin(logits, labels[rows]))
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
            actual.append(
                losses.negative_margin(predict(subject.classifier, moved), labels).double() - seen.values.double()
            )
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
    effort=60,
    short=14,
)
