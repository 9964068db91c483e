"""Judges what an attack returned. An attack's own idea of its success is never used.

A stochastic model is asked 32 times, and an example is broken where at least half of the passes err. Its margin is the
16th smallest of the passes' margins, so it is negative where the example is broken, as that of one pass is. Every pass
is of one example alone, its draws keyed by seed, index and number of the pass: nothing that shares a batch, a shard or
a worker with an example changes its verdict. The draws are the same for every attack's candidate, and others than any
search sees; candidates that differ answer them differently, so that the worst of several even ones owes a part to luck.

Linf: `max |x' - x| <= epsilon + 2^-23`, which is what float32 rounding of a saturated perturbation needs.
L2, L1: `||x' - x|| <= epsilon (1 + 1e-6)`. All are computed in float64, and the box [0, 1] is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.structure import is_stochastic
from bench.core.types import Examples, Norm, ThreatModel
from bench.models import check_logits
from bench.ops import norms
from bench.ops.full_float32 import full_float32
from bench.ops.generators import generators_kept, seed_generators
from bench.ops.losses import margin
from bench.row.arrays import NOT_FINITE
from bench.suites import VERDICT_PASSES

__all__ = ["Judgement", "inside", "judge", "pull_back"]

_LINF_TOLERANCE = 2.0**-23
_LENGTH_TOLERANCE = 1e-6
# OUR CHOICE: batch, device and library move float32 logits by about 1e-6 of their size, in deep nets by some more.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the original model says of one candidate per example.

    Args:
        robust: bool `(N,)`: the logits are finite and their argmax is the label; of a stochastic model, in more than
            half of the passes.
        margin: float32 `(N,)`: `z_y - max_{k != y} z_k` in the pass that decides; minus infinity where logits are not
            finite.
        finite: bool `(N,)`: all logits of all passes are finite.
        right: int64 `(N,)`: bit j says whether pass j was right.
        size: float32 `(N,)`: the largest logit of all passes, by its absolute value.
        moved: bool `(N,)`: the candidate was outside the threat model and was pulled back.
        predicted: int64 `(N,)`: the class in the pass that decides; -1 where logits are not finite.
        points: float32 `(N, C, H, W)`: what was judged, inside the threat model.
    """

    robust: Tensor
    margin: Tensor
    finite: Tensor
    right: Tensor
    size: Tensor
    moved: Tensor
    predicted: Tensor
    points: Tensor

    @property
    def marginal(self) -> Tensor:
        """Bool `(N,)`: logits are finite, and the margin is so small that rounding alone may turn it."""
        return self.finite & (self.margin.abs() <= _ROUNDING * self.size)


def judge(
    module: nn.Module, candidates: Tensor, examples: Examples, threat_model: ThreatModel, *, seed: int = 0
) -> Judgement:
    """Verify and classify one candidate per example, in full float32.

    Args:
        module: the original model, in eval mode.
        candidates: `(N, C, H, W)`, as the attack returned them; one with a pixel that is not finite counts as
            its clean input, one outside the threat model is pulled back into it first.
        examples: the clean examples.
        threat_model: what the attacker may do.
        seed: of a stochastic model's draws.

    Raises:
        ValueError: if there is not one candidate per example.
        BenchError: if the model does not return logits that fit the labels.
    """
    if candidates.shape != examples.inputs.shape:
        got, expected = tuple(candidates.shape), tuple(examples.inputs.shape)
        raise ValueError(f"Expected `candidates` to be of shape {expected}, but got {got}.")
    with torch.no_grad(), full_float32():
        points = candidates.detach().to(examples.inputs)
        usable = points.isfinite().flatten(1).all(1)
        points = torch.where(_per_example(usable, points), points, examples.inputs)
        moved = ~inside(points, examples.inputs, threat_model)
        points = torch.where(_per_example(moved, points), pull_back(points, examples.inputs, threat_model), points)
        logits = _in_passes(module, points, examples, seed) if is_stochastic(module) else _asked(module, points)[None]
        _check_classes(logits, examples)
        return _read_logits(logits.float(), examples.labels, moved | ~usable, points)


def inside(points: Tensor, inputs: Tensor, threat_model: ThreatModel) -> Tensor:
    """Which points obey the threat model: bool `(N,)`, for points and inputs `(N, C, H, W)`."""
    epsilon = float(threat_model.epsilon)
    change = (points.double() - inputs.double()).flatten(1)
    if threat_model.norm is Norm.LINF:
        near = change.abs().amax(1) <= epsilon + _LINF_TOLERANCE
    else:
        near = norms.size(change, threat_model.norm) <= epsilon * (1 + _LENGTH_TOLERANCE)
    return near & ((points >= 0) & (points <= 1)).flatten(1).all(1)


def pull_back(points: Tensor, inputs: Tensor, threat_model: ThreatModel) -> Tensor:
    """Project points into the ball and the box, in float64, and round them to float32 towards the inputs.

    Rounding towards the input never leaves the ball, because the input itself is a float32 number.
    """
    origin, epsilon = inputs.double(), float(threat_model.epsilon)
    change = points.double().clamp(0, 1) - origin
    if threat_model.norm is Norm.LINF:
        change = change.clamp(-epsilon, epsilon)
    else:
        length = norms.size(change, threat_model.norm).clamp_min(torch.finfo(torch.float64).tiny)
        change = change * _per_example((epsilon / length).clamp_max(1), change)
    rounded = (origin + change).to(inputs.dtype)
    too_far = (rounded.double() - origin).abs() > change.abs()
    return torch.where(too_far, torch.nextafter(rounded, inputs), rounded)


def _read_logits(logits: Tensor, labels: Tensor, moved: Tensor, points: Tensor) -> Judgement:
    """What logits `(passes, N, K)` say; the pass that decides is the one by which half of all are wrong, or none."""
    finite = logits.isfinite().all(2)
    margins = torch.stack([margin(each, labels) for each in logits])
    margins = torch.where(finite, margins, -torch.inf)
    predicted = torch.where(finite, logits.argmax(2), NOT_FINITE)
    right = predicted == labels
    # Wrong passes have no margin above 0 and right ones none below: of equal ones the wrong come first.
    order = right.long().argsort(dim=0, stable=True)
    order = order.gather(0, margins.gather(0, order).argsort(dim=0, stable=True))
    deciding = order[(len(logits) + 1) // 2 - 1][None]
    bits = torch.arange(len(logits), device=right.device)[:, None]
    return Judgement(
        robust=right.gather(0, deciding)[0],
        margin=margins.gather(0, deciding)[0],
        finite=finite.all(0),
        right=(right.long() << bits).sum(0),
        size=logits.abs().amax((0, 2)),
        moved=moved,
        predicted=predicted.gather(0, deciding)[0],
        points=points,
    )


def _in_passes(module: nn.Module, points: Tensor, examples: Examples, seed: int) -> Tensor:
    """Logits `(passes, N, K)` of a stochastic model, each example alone."""
    with generators_kept():
        rows = []
        for row, index in enumerate(examples.indices.tolist()):
            passes = []
            for number in range(VERDICT_PASSES):
                seed_generators(seed, "verdict", index, number)
                passes.append(_asked(module, points[row : row + 1]))
            rows.append(torch.stack(passes))
    return torch.cat(rows, dim=1)


def _asked(module: nn.Module, points: Tensor) -> Tensor:
    logits: Tensor = module(points)
    check_logits(logits, len(points))
    return logits


def _check_classes(logits: Tensor, examples: Examples) -> None:
    largest = int(examples.labels.max())
    if logits.shape[-1] <= max(largest, 1):
        raise BenchError(
            f"Expected the model to have a class for every label (up to {largest}), but it has {logits.shape[-1]}."
            " Is it a model of this dataset?"
        )


def _per_example(values: Tensor, like: Tensor) -> Tensor:
    """Shape `(N,)` to `(N, 1, 1, ...)`, so that it spreads over each example."""
    return values.view(-1, *[1] * (like.ndim - 1))
