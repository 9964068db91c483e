"""Projected ascent towards a class inside balls of a radius of their own for each example."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.search import Best, BestSoFar, Logits, Runs, ascend, gap, random_start
from bench.core.types import Classifier, Examples, Norm, ThreatModel
from bench.ops import norms
from bench.ops.sampling import Stream

__all__ = ["climb", "distance", "inside_radius", "onto_radius"]

FIRST_STEP = 0.5  # of the radius; steps shrink linearly to nothing
_STREAM = "curve"


@dataclass(kw_only=True)
class _ShrinkingStep:
    """Steps along the steepest direction, each shorter than the one before, in balls of radii of their own.

    Args:
        examples: the clean inputs of each run.
        radius: float64 `(M,)`.
        norm: of the balls.
        steps: how many there are.
    """

    examples: Examples
    radius: Tensor
    norm: Norm
    steps: int

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        length = self.radius.to(current) * FIRST_STEP * (1 - number / self.steps)
        ahead = current + norms.per_example(length, current) * norms.direction(gradient, self.norm)
        return inside_radius(ahead, self.examples, self.radius, self.norm)


def distance(points: Tensor, examples: Examples, norm: Norm) -> Tensor:
    """Distance of each point `(N, C, H, W)` from its clean input, float64 `(N,)`."""
    return norms.size(points.double() - examples.inputs.double(), norm)


def inside_radius(points: Tensor, examples: Examples, radius: Tensor, norm: Norm) -> Tensor:
    """Bring points `(N, C, H, W)` into the balls of `radius` `(N,)` around the inputs, and into [0, 1].

    Rounded towards the inputs in L-infinity, so that no point lies outside its ball.
    """
    origin, change = examples.inputs.double(), points.double() - examples.inputs.double()
    limit = norms.per_example(radius, change)
    if norm is Norm.LINF:
        change = torch.maximum(torch.minimum(change, limit), -limit)
    else:
        length = norms.per_example(norms.size(change, norm), change).clamp_min(norms.SMALLEST_LENGTH)
        change = change * (limit / length).clamp_max(1)
    moved = (origin + change).clamp(0, 1)
    rounded = moved.to(points.dtype)
    outside = (rounded.double() - origin).abs() > (moved - origin).abs()
    return torch.where(outside, torch.nextafter(rounded, examples.inputs), rounded)


def onto_radius(
    points: Tensor, examples: Examples, radius: Tensor, threat_model: ThreatModel, *, seed: int, step: int
) -> Tensor:
    """Scale each point's perturbation to `radius` `(N,)`; where it has none, a random one.

    Args:
        points: `(N, C, H, W)`.
        examples: the clean inputs.
        radius: float64 `(N,)`.
        threat_model: the largest ball; random perturbations are drawn in it and scaled down.
        seed: of the draws.
        step: number of the draw.
    """
    drawn = random_start(examples, threat_model, Stream(seed=seed, attack=_STREAM, restart=step)) - examples.inputs
    change = points - examples.inputs
    length = norms.size(change, threat_model.norm)
    scale = radius.to(length) / length.clamp_min(norms.SMALLEST_LENGTH)
    known = change * norms.per_example(scale, change)
    fresh = drawn * norms.per_example(radius.to(length) / float(threat_model.epsilon), drawn)
    moved = examples.inputs + torch.where(norms.per_example(length > 0, points), known, fresh)
    return inside_radius(moved, examples, radius, threat_model.norm)


def climb(
    classifier: Classifier,
    examples: Examples,
    targets: Tensor,
    radius: Tensor,
    start: Tensor,
    *,
    norm: Norm,
    steps: int,
) -> Best:
    """The iterate of smallest margin on the way to a target class; an example leaves once it is broken.

    Args:
        classifier: the model.
        examples: what to attack.
        targets: int64 `(N,)`, the class whose logit is raised over that of the label; any break counts.
        radius: float64 `(N,)`, of each example's ball.
        start: `(N, C, H, W)`, inside the balls.
        norm: of the balls.
        steps: how many, each shorter than the one before.
    """
    best = BestSoFar(start)
    rule = _ShrinkingStep(examples=examples, radius=radius, norm=norm, steps=steps)
    ascend(
        Logits(classifier=classifier),
        Runs.at(start, rule, examples.labels, targets=targets),
        gap,
        steps=steps,
        best=best,
    )
    return best.best
