"""Projection onto what a threat model allows: the ball around the input, inside [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Norm, ThreatModel
from bench.ops import norms

__all__ = ["project"]


def project(moved: Tensor, inputs: Tensor, threat_model: ThreatModel) -> Tensor:
    """Bring `moved` into the ball around `inputs` and into [0, 1].

    For Linf this is the exact projection onto the intersection. For L2 the perturbation is scaled into the ball and the
    result clipped: clipping towards inputs that lie in [0, 1] only shortens it, so the result is inside both (though
    not always the nearest point).

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
    delta = moved - inputs
    length = norms.size(delta, Norm.L2).clamp_min(norms.SMALLEST_LENGTH)
    return (inputs + delta * norms.per_example((epsilon / length).clamp_max(1), delta)).clamp(0, 1)
