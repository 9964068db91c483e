"""In which precision a run searches: as asked, or what a short measured probe finds faster."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.attacks.autoattack.fast.inference import inference_form, low_form
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import Attack
from bench.evaluation.header import engine_of
from bench.ops.waiting import wait_for
from bench.suites import AttackSuite

__all__ = ["AUTO", "FLOAT32", "LADDER", "PRECISIONS", "faster_precision", "settled_precision"]

AUTO, FLOAT32, LADDER = "auto", "float32", "bf16+float32"
PRECISIONS = (AUTO, FLOAT32, LADDER)

_MEASURED = 64
_ROUNDS = 3
_FORWARDS_PER_GRADIENT = 3
"""Of AutoAttack's passes on an example that withstands it, roughly."""
_WORTHWHILE = 0.8
"""The ladder's float32 steps and checks cost up to a fifth of what a search in lower precision does."""


def settled_precision(asked: str, suite: AttackSuite) -> str:
    """What `asked` comes to for a suite: float32 where no attack of it has a choice, `auto` where a probe has to say.

    Raises:
        UnknownNameError: if there is no such precision.
        BenchError: if a lower precision is asked for and no attack of the suite searches in it.
    """
    if asked not in PRECISIONS:
        raise UnknownNameError("precision", asked, PRECISIONS)
    if engine_of(suite) == "fast" and any(getattr(part, "finish", None) for part in _stages(suite)):
        return asked
    if asked == LADDER:
        raise BenchError(
            f"No attack of {suite.label} searches in {asked} on this engine. Choose --engine fast, or --precision auto."
        )
    return FLOAT32


@torch.no_grad()
def faster_precision(module: nn.Module, inputs: Tensor) -> str:
    """Time a few passes in both precisions and say which a search on this device should use.

    Args:
        module: the model, in eval mode, on its device.
        inputs: some examples' inputs, `(N, C, H, W)`, on that device, N at least 1.
    """
    inputs = inputs[:_MEASURED]
    exact = inference_form(module, inputs)
    low = low_form(module, inputs)
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


def _stages(suite: AttackSuite) -> Sequence[Attack]:
    return [stage for attack in suite.attacks for stage in attack.stages]
