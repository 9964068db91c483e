"""In which precision a run searches: by a rule from model and device, as asked, or what a stopwatch finds faster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.acceleration import FastForms
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import Attack
from bench.evaluation.journal.header import engine_of
from bench.ops.precision import has_bfloat16
from bench.ops.waiting import wait_for
from bench.suites import AttackSuite

__all__ = ["AUTO", "FLOAT32", "LADDER", "MEASURED", "PRECISIONS", "Choice", "choose_precision", "precision_of_suite"]

AUTO, MEASURED, FLOAT32, LADDER = "auto", "measured", "float32", "bf16+float32"
PRECISIONS = (AUTO, MEASURED, FLOAT32, LADDER)
_REASONS = {AUTO: "", MEASURED: MEASURED}
"""Why the precision is open so far; of others that it was asked for."""

_LEAST_OPERATIONS = 4_000_000
"""OUR CHOICE: of one example's pass forwards. On a CPU with AVX512-BF16 passes in bfloat16 take 0.93 to 1.2 times as
long as in float32 at 0.5 to 2.5 million (digits), 0.79 times at 5.7 million (resnet4b), and 0.50 to 0.63 times at 70 to
228 million (CIFAR-10)."""

_MEASURED = 64
_ROUNDS = 3
_FORWARDS_PER_GRADIENT = 3
"""Of AutoAttack's passes on an example that withstands it, roughly."""
_WORTHWHILE = 0.8
"""The ladder's float32 steps and checks cost up to a fifth of what a search in lower precision does."""


class Choice(NamedTuple):
    """A precision, and what decided it.

    Attributes:
        precision: "float32" or "bf16+float32".
        reason: what decided it, for the journal and the row.
    """

    precision: str
    reason: str


def precision_of_suite(asked: str, suite: AttackSuite) -> Choice:
    """What `asked` comes to for a suite: float32 where no attack of it has a choice; "auto" and "measured" stay open.

    Raises:
        UnknownNameError: if there is no such precision.
        BenchError: if a lower precision is asked for and no attack of the suite searches in it.
    """
    if asked not in PRECISIONS:
        raise UnknownNameError("precision", asked, PRECISIONS)
    in_less = any(part.finish is not None for part in _stages(suite)) and not suite.stochastic
    if engine_of(suite) == "fast" and in_less:
        return Choice(asked, _REASONS.get(asked, "asked for"))
    if asked == LADDER:
        raise BenchError(
            f"No attack of {suite.label} searches in {asked} on this engine. Choose --engine fast, or --precision auto."
        )
    return Choice(FLOAT32, "asked for" if asked == FLOAT32 else "rule: no attack of the suite searches in less")


def choose_precision(asked: str, forms: FastForms, inputs: Tensor, *, computed_on: str | None = None) -> Choice:
    """The precision that is asked for, or what the rule ("auto") or a stopwatch ("measured") says.

    The rule looks at no clock: bfloat16 where the model is large enough to gain from it, the device has instructions
    for it, and the model answers alike in it.

    Args:
        asked: one of `PRECISIONS`.
        forms: of the model, in eval mode, on its device.
        inputs: some examples' inputs, `(N, C, H, W)`, on that device, N at least 1; for the stopwatch alone.
        computed_on: kind of the device that the run computes on; None for that of the inputs.

    Raises:
        BenchError: if the run computes on a kind of device that is not here to be measured.
    """
    here = inputs.device.type
    elsewhere = computed_on is not None and computed_on != here
    if asked == AUTO and elsewhere:
        return Choice(FLOAT32, f"rule: workers on {computed_on}, which is not here to look at")
    if asked == AUTO:
        return _ruled(forms)
    if asked == MEASURED and elsewhere:
        raise BenchError(
            f"Workers compute on {computed_on}, which is not here to be measured: choose --precision auto."
        )
    if asked == MEASURED:
        return Choice(_faster(forms, inputs[:_MEASURED]), MEASURED)
    return Choice(asked, "asked for")


def _ruled(forms: FastForms) -> Choice:
    operations, device = _operations(forms.module, forms.trial[:1]), forms.trial.device
    if operations is None:
        return Choice(FLOAT32, "rule: a model whose operations cannot be counted")
    if operations < _LEAST_OPERATIONS:
        return Choice(
            FLOAT32, f"rule: {_millions(operations)} operations an example, below {_millions(_LEAST_OPERATIONS)}"
        )
    if not has_bfloat16(device):
        return Choice(FLOAT32, f"rule: {device.type} without bfloat16 instructions")
    if forms.low is None:
        return Choice(FLOAT32, "rule: a model that answers otherwise in bfloat16")
    return Choice(
        LADDER, f"rule: {_millions(operations)} operations an example, {device.type} with bfloat16 instructions"
    )


@torch.no_grad()
def _operations(module: nn.Module, inputs: Tensor) -> int | None:
    """Additions and multiplications in the convolutions and products of one pass; None where torch cannot tell."""
    try:
        with FlopCounterMode(display=False) as counter:
            module(inputs)
    except Exception:  # noqa: BLE001 - a user's model may do anything, and what is wrong with it is said elsewhere
        return None
    return int(counter.get_total_flops())


@torch.no_grad()
def _faster(forms: FastForms, inputs: Tensor) -> str:
    """Time a few passes in both precisions."""
    exact, low = forms.exact, forms.low
    if low is None:
        return FLOAT32
    seconds: dict[nn.Module, float] = {}
    for _ in range(1 + _ROUNDS):  # the first sets up kernels and memory, and its time is beaten by the others
        for form in (exact, low):
            seconds[form] = min(seconds.get(form, float("inf")), _seconds(form, inputs))
    return LADDER if seconds[low] < _WORTHWHILE * seconds[exact] else FLOAT32


def _seconds(form: nn.Module, inputs: Tensor) -> float:
    wait_for(inputs.device)
    start = time.perf_counter()
    for _ in range(_FORWARDS_PER_GRADIENT):
        form(inputs)
    with torch.enable_grad():
        leaf = inputs.clone().requires_grad_()
        logits = form(leaf)
        if logits.requires_grad:
            torch.autograd.grad(logits.sum(), leaf, allow_unused=True)
    wait_for(inputs.device)
    return time.perf_counter() - start


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} million"


def _stages(suite: AttackSuite) -> Sequence[Attack]:
    return [stage for attack in suite.attacks for stage in attack.stages]
