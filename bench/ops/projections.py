"""Projection onto what a threat model allows: the ball around the input, inside [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Norm, ThreatModel
from bench.ops import norms

__all__ = ["onto_l1", "project"]

_HALVINGS = 40


def project(moved: Tensor, inputs: Tensor, threat_model: ThreatModel) -> Tensor:
    """Bring `moved` into the ball around `inputs` and into [0, 1].

    For Linf and L1 this is the exact projection onto the intersection. For L2 the perturbation is scaled into the ball
    and the result clipped: clipping towards inputs that lie in [0, 1] only shortens it, so the result is inside both
    (though not always the nearest point).

    Args:
        moved: `(N, ...)`.
        inputs: `(N, ...)`, in [0, 1].
        threat_model: norm and radius of the ball.

    Returns:
        `(N, ...)`, of the type of `moved`.
    """
    epsilon = float(threat_model.epsilon)
    if threat_model.norm is Norm.LINF:
        return torch.clamp(moved, (inputs - epsilon).clamp_min(0), (inputs + epsilon).clamp_max(1))
    if threat_model.norm is Norm.L1:
        return onto_l1(moved, inputs, epsilon)
    delta = moved - inputs
    length = norms.size(delta, Norm.L2).clamp_min(norms.SMALLEST_LENGTH)
    return (inputs + delta * norms.per_example((epsilon / length).clamp_max(1), delta)).clamp(0, 1)


def onto_l1(moved: Tensor, inputs: Tensor, epsilon: float) -> Tensor:
    """The nearest point of the L1 ball of radius `epsilon` around `inputs` inside [0, 1].

    Croce and Hein 2021 (arXiv 2103.01208), proposition 2.1: each pixel of the perturbation shrinks by the same t and is
    then clipped to the box, with the least t that leaves it within epsilon. OUR CHOICE: t by halving its interval.

    Args:
        moved: `(N, ...)`.
        inputs: `(N, ...)`, in [0, 1].
        epsilon: the radius, in input units.
    """
    delta = moved - inputs
    size, least, most = delta.abs(), -inputs, 1 - inputs

    def shrunk(by: Tensor) -> Tensor:
        return (delta.sign() * (size - norms.per_example(by, size)).clamp_min(0)).clamp(least, most)

    low = size.new_zeros(len(size))
    fits = norms.size(shrunk(low), Norm.L1) <= epsilon
    high = torch.where(fits, low, size.flatten(1).amax(1))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = norms.size(shrunk(middle), Norm.L1) <= epsilon
        low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
    return (inputs + shrunk(high)).clamp(0, 1)
