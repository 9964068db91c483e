"""R18: is the model one fixed pass, without an optimisation of its own?

Test-time defences adapt to the input: they take gradients or search inside forward, cost many passes, and are broken by
attacks that know it (Croce et al. 2022, arXiv 2202.13711). Watched: operations that run with gradients on, although
they are switched off outside, layers that run more than once in a pass, and passes that differ from input to input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.diagnostics import points
from bench.diagnostics.check import Check
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]


class _Watch(TorchFunctionMode):
    """Counts the operations of a pass, and those that run with gradients enabled."""

    def __init__(self) -> None:
        super().__init__()
        self.n_operations = 0
        self.n_differentiable = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        self.n_operations += 1
        self.n_differentiable += torch.is_grad_enabled()
        return func(*args, **(kwargs or {}))


def _examine(subject: Subject) -> CheckResult:
    few = subject.examples[:4]
    places = (
        few.inputs,
        points.corner(few, subject.threat_model, seed=subject.seed, number=0),
        torch.zeros_like(few.inputs),
    )
    passes = [_watched(subject, place) for place in places]
    repeats = _most_calls(subject, few.inputs)
    n_differentiable = max(watch.n_differentiable for watch in passes)
    sizes = sorted({watch.n_operations for watch in passes})
    evidence = (
        f"A pass runs {' or '.join(map(str, sizes))} operations, {n_differentiable} of them with gradients that it"
        f" switched on itself, and its busiest layer {repeats} times."
    )
    doubtful = Level.WARN if repeats > 1 or len(sizes) > 1 else Level.PASS
    level = Level.FAIL if n_differentiable else doubtful
    return CheckResult(level=level, statistic=float(n_differentiable), threshold=0.0, evidence=evidence)


def _watched(subject: Subject, inputs: Tensor) -> _Watch:
    watch = _Watch()
    with torch.no_grad(), watch:
        subject.classifier(inputs)
    return watch


def _most_calls(subject: Subject, inputs: Tensor) -> int:
    """How often the layer with weights that runs most often runs in one pass."""
    calls: Counter[str] = Counter()
    weighted = {
        name: part
        for name, part in subject.module.named_modules()
        if part._parameters and not isinstance(part, torch.jit.ScriptModule)  # which takes no hooks
    }
    handles = [
        part.register_forward_pre_hook(lambda _module, _inputs, name=name: calls.update([name]))
        for name, part in weighted.items()
    ]
    try:
        with torch.no_grad():
            subject.classifier(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return max(calls.values(), default=1)


ENTRY = Check(
    id="R18",
    question="Is it one fixed pass, without an optimisation of its own?",
    examine=_examine,
    next="Report the model without the adaptation under the same attack, and attack through it (unrolled, or by BPDA).",
    effort=2,
    short=0.5,
    needs_logits=False,
    needs_correct=False,
    of_stochastic="as it is",
)
