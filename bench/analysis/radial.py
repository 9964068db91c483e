"""Projected ascent towards a class inside balls of a radius of their own for each example."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from bench.attacks.ascent import Best, gradient, random_start
from bench.attacks.search.targets import gap
from bench.core.types import Classifier, Examples, Norm, ThreatModel
from bench.ops import losses, norms
from bench.ops.sampling import Stream

__all__ = ["climb", "distance", "inside_radius", "onto_radius"]

FIRST_STEP = 0.5  # of the radius; steps shrink linearly to nothing
_STREAM = "curve"


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
    best = Best(start.clone(), torch.full_like(radius, float("inf"), dtype=start.dtype))
    left = torch.arange(len(examples), device=start.device)
    moved = start
    for step in range(steps):
        part = examples[left]
        slope, logits = gradient(classifier, moved, part.labels, functools.partial(gap, targets=targets[left]))
        seen = best.rows(left).improved(moved, losses.margin(logits, part.labels))
        best = best.entered(left, seen)
        goes_on = seen.margin >= 0
        left, moved, slope = left[goes_on], moved[goes_on], slope[goes_on]
        if not len(left):
            break
        length = radius[left].to(moved) * FIRST_STEP * (1 - step / steps)
        ahead = moved + norms.per_example(length, moved) * norms.direction(slope, norm)
        moved = inside_radius(ahead, examples[left], radius[left], norm)
    if len(left):
        with torch.no_grad():
            margin = losses.margin(classifier(moved), examples.labels[left])
        best = best.entered(left, best.rows(left).improved(moved, margin))
    return best
