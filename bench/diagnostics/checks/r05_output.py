"""R5: are the outputs logits, one for every class of the dataset?

A softmax inside the model lets the cross-entropy saturate, and APGD's losses assume logits; a wrong number of classes
means that what is attacked is not what is scored (an auxiliary class, dummy classes, another dataset's head).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.diagnostics.check import Check
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

SUM_TOLERANCE = 1e-3
"""Of the sum itself: float16 probabilities sum to 1 within this."""

UNEVEN = 1.1
"""Largest output over the mean output."""


def _examine(subject: Subject) -> CheckResult:
    wrong = _not_a_row_of_numbers(subject.answer, len(subject.first), subject.num_classes)
    if wrong is not None:
        return CheckResult(level=Level.FAIL, evidence=wrong)
    if not subject.is_readable:
        labels = int(subject.examples.labels.max())
        return CheckResult(level=Level.FAIL, evidence=f"There is no logit for label {labels}.")
    if subject.is_constant:
        evidence = "The model gives the same logits to every image (see R19)."
        return CheckResult(level=Level.PASS, evidence=evidence)
    return _of_numbers(subject.samples)


def _not_a_row_of_numbers(answer: Any, count: int, num_classes: int) -> str | None:
    if not isinstance(answer, Tensor):
        return f"The model returns a {type(answer).__name__}, not a tensor of logits."
    if answer.ndim == 2 and len(answer) == count and answer.shape[1] != num_classes:
        some = " Where those are some of the model's, --class-names FILE names all."
        more = some if answer.shape[1] > num_classes else ""
        numbers = f"The model gives {answer.shape[1]} numbers for each image"
        return f"{numbers}, but the dataset has {num_classes} classes.{more}"
    dense = answer.layout is torch.strided
    if answer.shape != (count, num_classes) or not answer.is_floating_point() or not dense:
        kind = ("" if dense else "sparse ") + str(answer.dtype).removeprefix("torch.")
        return f"The model returns {kind} of shape {tuple(answer.shape)}, not logits of shape {(count, num_classes)}."
    return None


def _of_numbers(outputs: Tensor) -> CheckResult:
    outputs = outputs[outputs.isfinite().all(1)].double()
    if not len(outputs):
        return CheckResult(level=Level.WARN, evidence="No output is finite, so its kind cannot be told (see R4).")
    if _are_shares(outputs):
        total = float(outputs.sum(1).mean())
        evidence = f"The outputs are probabilities: none is negative, and every row sums to {total:.4g}."
        return CheckResult(level=Level.FAIL, evidence=evidence)
    if bool(((outputs >= 0) & (outputs <= 1)).all()):
        return CheckResult(
            level=Level.FAIL,
            evidence="All outputs lie in [0, 1], for noise and flat images too: they are squashed, not logits.",
        )
    if bool((outputs.logsumexp(1).abs() <= SUM_TOLERANCE).all()):
        return CheckResult(
            level=Level.PASS, evidence="The outputs are logarithms of probabilities, which serve as logits."
        )
    return CheckResult(level=Level.PASS, evidence="The outputs are logits, one for every class of the dataset.")


def _are_shares(outputs: Tensor) -> bool:
    """Whether the rows share out one constant among the classes, and not evenly (as logits with an offset do)."""
    sums = outputs.sum(1)
    total = sums.mean()
    constant = bool(((sums - total).abs() <= SUM_TOLERANCE * total.abs()).all())
    uneven = bool(outputs.amax() > UNEVEN * total / outputs.shape[1])
    return constant and uneven and bool((outputs >= 0).all())


ENTRY = Check(
    id="R5",
    question="Are the outputs logits, one for every class?",
    examine=_examine,
    next="Let the model return its logits, before any softmax and with what its decision needs inside, and run again.",
    effort=2,
    short=2.3,
    needs_logits=False,
    needs_correct=False,
    of_stochastic="as it is",
)
