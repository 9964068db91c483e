"""What a stage has found so far: the best iterate of every example, and which examples are done."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.attacks.autoattack.fast.model_calls import predict
from bench.core.types import Classifier, Examples
from bench.ops import losses, norms

__all__ = ["Ledger", "Verdict", "judge", "open_ledger"]

LOOK_EVERY = 8
"""On an accelerator, how many steps pass between two looks at who is done: each look waits for the device."""


class Verdict(NamedTuple):
    """What logits say about examples: the margin `(N,)`, and whether the example is broken, bool `(N,)`.

    Broken is what torch's argmax says, ties included; logits that are not finite count as broken at margin -inf, since
    the harness never counts them as robust.
    """

    margins: Tensor
    broken: Tensor


def judge(logits: Tensor, labels: Tensor) -> Verdict:
    """Judge logits `(N, K)` against labels `(N,)`."""
    finite = logits.isfinite().all(dim=1)
    margins = losses.margin(logits, labels)
    return Verdict(
        margins=torch.where(finite, margins, float("-inf")),
        broken=(logits.argmax(dim=1) != labels) | ~finite,
    )


class Ledger:
    """The iterate of smallest margin of every example; an example's entry is final once it is broken.

    Args:
        examples: those that the stage attacks.
    """

    def __init__(self, examples: Examples) -> None:
        count, device = len(examples), examples.inputs.device
        self.best = examples.inputs.clone()
        self.margins = torch.full((count,), float("inf"), device=device)
        self.broken = torch.zeros(count, dtype=torch.bool, device=device)

    def note(self, positions: Tensor, candidates: Tensor, verdict: Verdict, *, allowed: Tensor | None = None) -> None:
        """Enter candidates where they are better than what stands there.

        Args:
            positions: int64 `(M,)`, which examples; each at most once.
            candidates: `(M, C, H, W)`.
            verdict: of their logits.
            allowed: bool `(M,)`, which candidates lie inside the ball; None means all.
        """
        better = verdict.broken | (verdict.margins < self.margins[positions])
        better &= ~self.broken[positions]
        if allowed is not None:
            better &= allowed
        self.best[positions] = torch.where(norms.per_example(better, candidates), candidates, self.best[positions])
        self.margins[positions] = torch.where(better, verdict.margins, self.margins[positions])
        self.broken[positions] |= better & verdict.broken

    def open(self) -> Tensor:
        """Positions of the examples that are not broken, int64 `(M,)`."""
        return (~self.broken).nonzero().squeeze(1)

    def remaining(self, positions: Tensor, *, step: int) -> Tensor | None:
        """Rows of the working batch that go on, int64 `(M,)`, or None where the batch stays as it is.

        On a CPU every finished row leaves at once. Elsewhere this looks every few steps, and rows leave when fewer than
        half go on, so that the device is seldom waited for and shapes seldom change.
        """
        on_cpu = positions.device.type == "cpu"
        if not on_cpu and step % LOOK_EVERY:
            return None
        rows = (~self.broken[positions]).nonzero().squeeze(1)
        if len(rows) == len(positions) or (not on_cpu and 2 * len(rows) > len(positions)):
            return None
        return rows


def open_ledger(classifier: Classifier, examples: Examples) -> tuple[Ledger, Tensor]:
    """A ledger that holds the clean inputs, and their logits `(N, K)`: the stage's only clean forward pass."""
    ledger = Ledger(examples)
    logits = predict(classifier, examples.inputs)
    everyone = torch.arange(len(examples), device=logits.device)
    ledger.note(everyone, examples.inputs, judge(logits, examples.labels))
    return ledger, logits
