"""R14: is what is attacked what is scored?

The attack climbs logits of one call, with gradients; the score is the class of another, without. They disagree where a
model looks at the gradient mode, where its class is none of the dataset's (a rejection, a dummy class), and where ties
let the order of the classes decide. Looked at: inputs, noise, and what the attacks found.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.queries import BATCH, predict
from bench.diagnostics.subject import Subject
from bench.row import CheckResult

__all__ = ["ENTRY"]

TOLERANCE = 1e-4
"""Of the largest logit: other kernels may run with gradients than without."""
TOLERATED = 0.001
FEW = 16
"""Examples that the short form looks at."""


def _examine(subject: Subject) -> CheckResult:
    total = len(subject.few(FEW))
    bad = torch.zeros(3, total, dtype=torch.bool, device=subject.examples.inputs.device)
    for place, rows in _places(subject):
        scored = predict(subject.classifier, place)
        attacked = torch.cat([_with_gradient(subject, part) for part in torch.split(place, BATCH)])
        bad[0, rows] |= _differ(scored, attacked)
        bad[1, rows] |= scored.argmax(1) >= subject.num_classes
        bad[2, rows] |= _is_tied(scored)
    other, foreign, tied = (int(each.sum()) for each in bad)
    evidence = (
        f"Of {total} examples, {other} have other logits with gradients than without, {foreign} get a class that the"
        f" dataset does not have, and {tied} have two classes tied for the first place."
    )
    return by_share(int(bad.any(0).sum()), total, tolerated=TOLERATED, evidence=evidence)


def _places(subject: Subject) -> Iterator[tuple[Tensor, Tensor]]:
    """Points, and the rows of the examples that they belong to."""
    few = subject.few(FEW)
    everyone = torch.arange(len(few), device=few.inputs.device)
    yield few.inputs, everyone
    yield points.corner(few, subject.threat_model, seed=subject.seed, number=0), everyone
    known = torch.isin(subject.correct.indices, few.indices)
    if known.any():
        yield subject.by_margin.points[known], everyone[torch.isin(few.indices, subject.correct.indices)]


def _with_gradient(subject: Subject, inputs: Tensor) -> Tensor:
    with torch.enable_grad():
        logits: Tensor = subject.classifier(inputs.detach().clone().requires_grad_())
        return logits.detach().float()


def _differ(first: Tensor, second: Tensor) -> Tensor:
    scale = first.nan_to_num(0.0, 0.0, 0.0).abs().amax().clamp_min(torch.finfo(first.dtype).tiny)
    near = (first - second).abs() <= TOLERANCE * scale
    return ~(near | (first == second) | (first.isnan() & second.isnan())).all(1)


def _is_tied(logits: Tensor) -> Tensor:
    top = logits.topk(2, dim=1).values
    return (top[:, 0] == top[:, 1]) & logits.isfinite().all(1)


ENTRY = Check(
    id="R14",
    question="Is what is attacked what is scored?",
    examine=_examine,
    next="Put the whole decision into the model's logits (for dummy classes max(z_c, z_c+K)), and attack those.",
    effort=25,
    short=12.5,
    needs_correct=False,
)
