"""Logits of a size that a loss cannot see: too small, cut off, or squeezed.

The order of the classes is the network's, so whoever knows it climbs the network.
"""

from __future__ import annotations

import torch

from bench.diagnostics.traps.trap import Around, Trap

__all__ = ["TRAPS"]

KIND = "logits' size"

TRAPS = (
    Trap(name="a thousandth of the logits", kind=KIND, build=lambda base, _: Around(base, after=lambda z: 1e-3 * z)),
    Trap(
        name="a hundredth of the logits, shifted",
        kind=KIND,
        build=lambda base, _: Around(base, after=lambda z: 1e-2 * z + 3),
    ),
    Trap(
        name="clipped logits",
        kind=KIND,
        build=lambda base, _: Around(base, after=lambda z: z.clamp(-3, 3)),
    ),
    Trap(name="squeezed logits", kind=KIND, build=lambda base, _: Around(base, after=lambda z: torch.tanh(z / 2))),
    Trap(name="a temperature of 1/100", kind=KIND, build=lambda base, _: Around(base, after=lambda z: 100 * z)),
)
