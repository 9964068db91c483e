"""A stiff solver inside: true gradients through many steps that forget where they began.

After Kang et al. 2021 (arXiv 2110.12976), whose network ends in a differential equation that pulls its features to
stable points: nothing is detached, but what the solver has pulled together has next to no gradient left, and where two
basins meet there is a step. He who knows it climbs the network without the solver, which decides alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.diagnostics.traps.trap import Around, Trap

__all__ = ["TRAPS"]

KIND = "stiff solver"


def competing(logits: Tensor, steps: int = 40, rate: float = 3.0) -> Tensor:
    """Classes that grow with their own share until one has nearly all (replicator dynamics), and their logarithms."""
    shares = (logits / 4).softmax(1)
    for _ in range(steps):
        shares = shares * (rate * shares).exp()
        shares = shares / shares.sum(1, keepdim=True)
    return 10 * shares


def settling(logits: Tensor, steps: int = 60, rate: float = 0.45) -> Tensor:
    """The margin of every class over the best other one, each in a potential of two wells, after Euler's steps."""
    best = logits.topk(2, dim=1).values
    others = torch.where(logits == best[:, :1], best[:, 1:], best[:, :1])
    state = torch.tanh((logits - others) / 4)
    for _ in range(steps):
        state = state + rate * state * (1 - state.square())
    return 5 * state


def levelling(inputs: Tensor, levels: int = 6, steps: int = 12) -> Tensor:
    """Pixels that flow down a wave, each to the nearest of a few levels."""
    pixels = inputs
    for _ in range(steps):
        wave = 2 * math.pi * levels
        pixels = pixels - 0.7 / wave * torch.sin(wave * pixels)
    return pixels


def relaxing(logits: Tensor, steps: int = 60) -> Tensor:
    """A Hopfield memory of the classes, iterated: each step a softmax of what the last one recalled."""
    state = logits / 4
    for _ in range(steps):
        state = 0.5 * state + 0.5 * 6 * state.softmax(1)
    return state


TRAPS = (
    Trap(name="classes that compete", kind=KIND, build=lambda base, _: Around(base, after=competing)),
    Trap(name="margins that settle in wells", kind=KIND, build=lambda base, _: Around(base, after=settling)),
    Trap(name="a memory that relaxes", kind=KIND, build=lambda base, _: Around(base, after=relaxing)),
    Trap(name="pixels that flow to levels", kind=KIND, build=lambda base, _: Around(base, levelling)),
)
