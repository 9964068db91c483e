"""How long an evaluation will take, from one timed pass of the model."""

from __future__ import annotations

import time

import torch
from torch import nn

from bench.core.structure import structures_of
from bench.core.types import Examples
from bench.evaluation.effort import effort
from bench.suites import AttackSuite

__all__ = ["in_words", "seconds_per_example"]

_TIMED = 64
_PASSES = 2  # one forwards, one backwards


def seconds_per_example(module: nn.Module, examples: Examples, suite: AttackSuite, device: torch.device) -> float:
    """Seconds that `suite` takes for one example that withstands it; an upper bound, since broken ones need less.

    Args:
        module: the model, on `device`.
        examples: a few of them are passed through it, at least one.
        suite: the attacks.
        device: where to compute.
    """
    inputs = examples.inputs[:_TIMED].to(device)
    _pass(module, inputs[:1])  # the first pass sets up kernels and memory
    start = time.perf_counter()
    _pass(module, inputs)
    seconds = (time.perf_counter() - start) / (_PASSES * len(inputs))
    attacks = suite.attacks_for(structures_of(module))
    return seconds * sum(effort(stage) for attack in attacks for stage in attack.stages)


def in_words(seconds: float) -> str:
    """A duration, roughly.

    >>> in_words(5400)
    '1.5 hours'
    """
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return "a second" if seconds < 1.5 else f"{round(seconds)} seconds"


def _pass(module: nn.Module, inputs: torch.Tensor) -> None:
    with torch.enable_grad():
        moved = inputs.clone().requires_grad_()
        logits = module(moved)
        torch.autograd.grad(logits.sum(), moved)[0].sum().item()
