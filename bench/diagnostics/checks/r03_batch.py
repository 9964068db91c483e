"""R3: does the answer to an image depend on the other images of its batch?

Batch statistics in eval mode, gates on batch means and transductive defences answer an attacker's batch otherwise than
the image alone. Three tests, from sharp to blunt: other neighbours in the same places, the same batch in another order,
and the image alone or in smaller company, where other kernels round otherwise. An attack depends on the gradient too:
in a batch as large as the attacks' own it has to be what it is for eight images and for one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Examples
from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.queries import Sloped, slope
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult

__all__ = ["ENTRY"]

NEIGHBOURS, ORDER, COMPANY = 1e-5, 1e-4, 1e-2
"""Largest change that is rounding, relative to the largest logit. OUR CHOICE: honest models show 1e-6 and less."""
TURNED = 0.5
"""Largest change of the gradient, relative to its length, that a ReLU at its kink may make. OUR CHOICE: honest models
show 1e-3 and less."""
ALONE = 8
FEW = 16
"""Examples that the short form looks at."""
CROWD = 128
"""Largest batch of the short form."""


def _examine(subject: Subject) -> CheckResult:
    batch = subject.first if subject.thorough else subject.first[:FEW]
    inputs = batch.inputs
    with torch.no_grad():
        together = subject.classifier(inputs).float()
        differs = _changed_by_neighbours(subject, batch, together)
        backwards = subject.classifier(inputs.flip(0)).float().flip(0)
        differs |= _differ(together, backwards, ORDER)
        parts = [subject.classifier(part).float() for part in torch.split(inputs, max(1, len(inputs) // 2))]
        differs |= _differ(together, torch.cat(parts), COMPANY)
        alone = torch.cat([subject.classifier(each).float() for each in torch.split(inputs[:ALONE], 1)])
        differs[:ALONE] |= _differ(together[:ALONE], alone, COMPANY)
    crowded = _changed_by_a_crowd(subject, batch)
    count = int((differs | crowded).sum())
    evidence = (
        f"The logits of {int(differs.sum())} of {len(inputs)} examples depend on the other images, their order or their"
        f" number, and the logits or gradients of {int(crowded.sum())} are others among as many as attacks ask at once."
    )
    return by_share(count, len(inputs), tolerated=0.0, evidence=evidence)


def _changed_by_a_crowd(subject: Subject, batch: Examples) -> Tensor:
    """Which of `batch` get other logits or gradients among as many images as attacks ask at once, `(N,)`."""
    size = subject.batch_size if subject.thorough else min(subject.batch_size, CROWD)
    rows = torch.arange(max(size, len(batch)), device=batch.inputs.device) % len(batch)
    many = _sloped(subject, batch[rows], at_once=len(rows))
    differs = torch.zeros(len(batch), dtype=torch.bool, device=rows.device)
    for few, at_once in ((batch, ALONE), (batch[: ALONE // 2], 1)):
        seen = _sloped(subject, few, at_once=at_once)
        known = rows < len(few)
        other = _differ(seen.logits[rows[known]], many.logits[known], COMPANY)
        other |= _turned(seen.gradient[rows[known]], many.gradient[known])
        differs[rows[known][other]] = True
    return differs


def _sloped(subject: Subject, examples: Examples, *, at_once: int) -> Sloped:
    labels = examples.labels
    return slope(
        subject.classifier,
        examples.inputs,
        lambda logits, rows: losses.negative_margin(logits, labels[rows]),
        at_once=at_once,
    )


def _turned(first: Tensor, second: Tensor) -> Tensor:
    """Which gradients differ by more than a kink makes, `(N,)`."""
    first, second = (each.nan_to_num(0.0, 0.0, 0.0).flatten(1).double() for each in (first, second))
    length = torch.maximum(first.norm(dim=1), second.norm(dim=1))
    turned: Tensor = (first - second).norm(dim=1) > TURNED * length
    return turned


def _changed_by_neighbours(subject: Subject, batch: Examples, together: Tensor) -> Tensor:
    """Swap every second image for another one, in its place, and look at those that stayed; then the other way."""
    inputs = batch.inputs
    differs = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    strangers = (
        points.anywhere(batch, seed=subject.seed),
        torch.ones_like(inputs),
        points.corner(batch, subject.threat_model, seed=subject.seed, number=0),
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
    effort=12,
    short=12.5,
    needs_correct=False,
    of_stochastic="nothing",
)
