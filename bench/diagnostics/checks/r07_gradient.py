"""R7: is there a gradient?

Detached graphs, rounding, thresholds and saturated units give a gradient of 0, or one so small that no step along it
changes a logit (Athalye et al. 2018, arXiv 1802.00420: vanishing and shattered gradients). Looked at: the margin's
gradient at the input and at a random point of the ball.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.queries import reach, slope, spread
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult

__all__ = ["ENTRY"]

VANISHED = 1e-5
"""What the gradient promises within the ball, over the range of the logits. OUR CHOICE: float32 rounding is 1e-7."""
TOLERATED = 0.005
FEW = 16
"""Examples that the short form looks at."""


def _examine(subject: Subject) -> CheckResult:
    examples = subject.few_correct(FEW)
    places = (examples.inputs, points.inside_ball(examples, subject.threat_model, seed=subject.seed, number=0))
    looks = [_look(subject, place, examples.labels) for place in places]
    gone = looks[0][0] | looks[1][0]
    wild = looks[0][1] | looks[1][1]
    evidence = (
        f"The margin's gradient is zero or vanishing on {int(gone.sum())} and not finite on {int(wild.sum())} of"
        f" {len(examples)} correct examples."
    )
    return by_share(int((gone | wild).sum()), len(examples), tolerated=TOLERATED, evidence=evidence)


def _look(subject: Subject, place: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Where the gradient has vanished, and where it is not finite, both bool `(N,)`."""
    seen = slope(subject.classifier, place, lambda logits, rows: losses.negative_margin(logits, labels[rows]))
    wild = ~seen.gradient.flatten(1).isfinite().all(1)
    promised = reach(seen.gradient.nan_to_num(0.0, 0.0, 0.0), subject.threat_model)
    size = spread(seen.logits).clamp_min(torch.finfo(torch.float32).tiny)
    return (promised <= VANISHED * size) & ~wild, wild


ENTRY = Check(
    id="R7",
    question="Is there a gradient to follow?",
    examine=_examine,
    next="Give what has no gradient a smooth stand-in in the backward pass (BPDA); run Square with 5,000 queries.",
    effort=6,
    short=2,
    of_stochastic="as it is",
)
