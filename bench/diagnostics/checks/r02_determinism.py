"""R2: does the model answer the same images alike, every time?

A stochastic defence is broken only as often as its luck runs out, and every lucky miss counts as robustness (Athalye et
al. 2018, arXiv 1802.00420). The last look is after all other checks, so that a model that changes with use is found.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.diagnostics.check import Check, by_share
from bench.diagnostics.queries import predict
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

REPEATS = 16
"""A model that tosses a coin for every batch shows one side in all of them once in 65,536 times."""
FEW = 8
"""Examples that the short form looks at: who answers at random does so of any."""
TOLERANCE = 1e-4
"""Of the largest logit; two passes over one batch differ by nothing on a CPU and by rounding on a GPU."""


def _examine(subject: Subject) -> CheckResult:
    inputs = subject.few(FEW).inputs
    first = subject.logits[: len(inputs)]
    before = torch.get_rng_state()
    differs = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    flips = differs.clone()
    for _ in range(REPEATS):
        again = predict(subject.classifier, inputs)
        differs |= ~_alike(first, again)
        flips |= first.argmax(1) != again.argmax(1)
    count = int(differs.sum())
    evidence = f"The logits of {count} of {len(inputs)} examples differ between passes, and the class of {flips.sum()}."
    found = by_share(count, len(inputs), tolerated=0.0, evidence=evidence)
    if found.level is Level.PASS and not torch.equal(before, torch.get_rng_state()):
        evidence = "The model draws random numbers, though its logits stay the same."
        return CheckResult(level=Level.WARN, statistic=0.0, threshold=0.0, evidence=evidence)
    return found


def _alike(first: Tensor, second: Tensor) -> Tensor:
    """Whether each row is the same up to rounding, `(N,)`; NaN equals NaN."""
    scale = first.nan_to_num(0.0, 0.0, 0.0).abs().amax().clamp_min(torch.finfo(first.dtype).tiny)
    near = (first - second).abs() <= TOLERANCE * scale
    return (near | (first == second) | (first.isnan() & second.isnan())).all(1)


ENTRY = Check(
    id="R2",
    question="Does it answer the same images alike, every time?",
    examine=_examine,
    next="Declare it (--stochastic, or an attribute `stochastic = True`), and evaluate it with --suite rand-v1.",
    effort=10,
    short=4,
    last=True,
    needs_correct=False,
    of_stochastic="nothing",
)
