"""R3: does the answer to an image depend on the other images of its batch?

Batch statistics in eval mode, gates on batch means and transductive defences answer an attacker's batch otherwise than
the image alone. Three tests, from sharp to blunt: other neighbours in the same places, the same batch in another order,
and the image alone or in smaller company, where other kernels round otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.subject import Subject
from bench.row.check_result import CheckResult

__all__ = ["ENTRY"]

NEIGHBOURS, ORDER, COMPANY = 1e-5, 1e-4, 1e-2
"""Largest change that is rounding, relative to the largest logit. OUR CHOICE: honest models show 1e-6 and less."""
ALONE = 8


def _examine(subject: Subject) -> CheckResult:
    batch = subject.first
    inputs = batch.inputs
    with torch.no_grad():
        together = subject.classifier(inputs).float()
        differs = _changed_by_neighbours(subject, inputs, together)
        backwards = subject.classifier(inputs.flip(0)).float().flip(0)
        differs |= _differ(together, backwards, ORDER)
        parts = [subject.classifier(part).float() for part in torch.split(inputs, max(1, len(inputs) // 2))]
        differs |= _differ(together, torch.cat(parts), COMPANY)
        alone = torch.cat([subject.classifier(each).float() for each in torch.split(inputs[:ALONE], 1)])
        differs[:ALONE] |= _differ(together[:ALONE], alone, COMPANY)
    count = int(differs.sum())
    evidence = (
        f"The logits of {count} of {len(inputs)} examples depend on the other images, their order or their number."
    )
    return by_share(count, len(inputs), tolerated=0.0, evidence=evidence)


def _changed_by_neighbours(subject: Subject, inputs: Tensor, together: Tensor) -> Tensor:
    """Swap every second image for another one, in its place, and look at those that stayed; then the other way."""
    differs = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    strangers = (
        points.anywhere(subject.first, seed=subject.seed),
        torch.ones_like(inputs),
        points.corner(subject.first, subject.threat_model, seed=subject.seed, number=0),
    )
    for number, stranger in enumerate(strangers):
        stay = torch.arange(len(inputs), device=inputs.device) % 2 == number % 2
        mixed = torch.where(stay[:, None, None, None], inputs, stranger)
        differs |= stay & _differ(together, subject.classifier(mixed).float(), NEIGHBOURS)
    return differs


def _differ(first: Tensor, second: Tensor, tolerance: float) -> Tensor:
    """Which rows differ by more than rounding, `(N,)`; NaN equals NaN."""
    scale = first.nan_to_num(0.0, 0.0, 0.0).abs().amax().clamp_min(torch.finfo(first.dtype).tiny)
    near = (first - second).abs() <= tolerance * scale
    return ~(near | (first == second) | (first.isnan() & second.isnan())).all(1)


ENTRY = Check(
    id="R3",
    question="Does the answer to an image depend on that image alone?",
    examine=_examine,
    next="Attack and score one image at a time (batch size 1), with PGD of 100 steps.",
    effort=8,
    short=6,
    needs_correct=False,
)
