"""Places in the ball where checks look: keyed draws, so that every run of the doctor sees the same ones."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.search import random_start
from bench.core.types import Examples, ThreatModel
from bench.ops import norms
from bench.ops.projections import project
from bench.ops.sampling import Stream, uniform

__all__ = ["anywhere", "corner", "inside_ball", "shifted", "signs"]


def inside_ball(examples: Examples, threat_model: ThreatModel, *, seed: int, number: int) -> Tensor:
    """A point uniform in the ball around each input, `(N, C, H, W)`; `number` tells draws apart."""
    return random_start(examples, threat_model, Stream(seed=seed, attack="doctor-noise", restart=number))


def corner(examples: Examples, threat_model: ThreatModel, *, seed: int, number: int) -> Tensor:
    """A point at distance epsilon in a direction of random signs, clipped to [0, 1]: `(N, C, H, W)`."""
    heading = norms.direction(signs(examples, seed=seed, number=number), threat_model.norm)
    return shifted(examples.inputs, heading, float(threat_model.epsilon), examples, threat_model)


def signs(examples: Examples, *, seed: int, number: int) -> Tensor:
    """Random signs, `(N, C, H, W)`."""
    stream = Stream(seed=seed, attack="doctor-signs", restart=number)
    return torch.where(uniform(stream, examples.indices, examples.inputs.shape[1:]) < 0.5, -1.0, 1.0)


def anywhere(examples: Examples, *, seed: int) -> Tensor:
    """A uniform image in [0, 1] for each example, `(N, C, H, W)`."""
    return uniform(Stream(seed=seed, attack="doctor-image"), examples.indices, examples.inputs.shape[1:])


def shifted(points: Tensor, heading: Tensor, length: float, examples: Examples, threat_model: ThreatModel) -> Tensor:
    """`points` moved by `length` along `heading` `(N, C, H, W)`, inside the ball around each input."""
    return project(points + length * heading, examples.inputs, threat_model)
