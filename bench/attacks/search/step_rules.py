"""How an ascent moves from one iterate to the next: steps of one length, along a schedule, or APGD's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.attacks.search.ball import Ball
from bench.ops import norms
from bench.ops.choosing import chosen_rows

__all__ = ["RHO", "FixedStep", "HalvingStep", "MomentumStep", "StepRule", "windows"]

MOMENTUM = 0.25
RHO = 0.75
"""Share of improving steps below which APGD halves its step size."""


class StepRule(Protocol):
    """A dataclass; every tensor in it has one row per run."""

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        """The next iterate.

        Args:
            current: the iterate, `(N, C, H, W)`.
            values: of the loss there, `(N,)`.
            gradient: of the loss there, `(N, C, H, W)`, finite.
            number: how many steps came before.
        """
        ...


@dataclass(kw_only=True)
class FixedStep:
    """Steps of one length along the steepest direction, each projected.

    Args:
        ball: where runs may move.
        length: of a step, in input units.
    """

    ball: Ball
    length: float

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        return self.ball.project(current + self.length * norms.direction(gradient, self.ball.norm))


@dataclass(kw_only=True)
class MomentumStep:
    """Steps along a sum of gradients that forgets, of lengths that are given.

    Dong et al. 2018 (arXiv 1710.06081), equation 6: each gradient counts by its direction, whatever its size.

    Args:
        ball: where runs may move.
        lengths: of each step, in input units.
        decay: of the sum, for each step.
        velocity: the sum, `(N, C, H, W)`.
    """

    ball: Ball
    lengths: tuple[float, ...]
    decay: float
    velocity: Tensor

    @classmethod
    def within(cls, ball: Ball, *, lengths: tuple[float, ...], decay: float) -> MomentumStep:
        """Before the first step."""
        return cls(ball=ball, lengths=lengths, decay=decay, velocity=torch.zeros_like(ball.center))

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        gradient = norms.enlarged(gradient)
        size = norms.dual(gradient, self.ball.norm).clamp_min(norms.SMALLEST_LENGTH)
        self.velocity = self.decay * self.velocity + gradient / norms.per_example(size, gradient)
        moved = current + self.lengths[number] * norms.direction(self.velocity, self.ball.norm)
        return self.ball.project(moved)


@dataclass(kw_only=True)
class HalvingStep:
    """APGD's: momentum, and a length that halves at checkpoints where a run oscillates or stands still.

    Croce and Hein 2020 (arXiv 2003.01690), algorithm 1.

    Args:
        ball: where runs may move.
        checkpoints: as `windows` gives them.
        rho: share of improving steps below which the length is halved.
        length: of a step, in input units.
        previous: the iterate one step earlier.
        best: the iterate of highest loss.
        best_gradient: the gradient there.
        best_loss: the loss there.
        last_loss: the loss at the last iterate. OUR CHOICE, as in the reference: 0 before the first step, so the first
            step counts as a rise when the loss after it is positive.
        n_rises: how many steps since the last checkpoint raised the loss.
        checked_loss: `best_loss` at the last checkpoint.
        halved: whether the last checkpoint halved the length; true at the start.
    """

    ball: Ball
    checkpoints: dict[int, int]
    rho: float
    length: Tensor
    previous: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    last_loss: Tensor
    n_rises: Tensor
    checked_loss: Tensor
    halved: Tensor

    @classmethod
    def within(cls, ball: Ball, *, steps: int, rho: float = RHO, first: float = 2.0) -> HalvingStep:
        """For runs of so many steps in `ball`; the first has length `first`, in units of epsilon."""
        zeros = ball.center.new_zeros(len(ball.center))
        return cls(
            ball=ball,
            checkpoints=windows(steps),
            rho=rho,
            length=torch.full_like(zeros, first * ball.radius),
            previous=ball.center,
            best=ball.center,
            best_gradient=ball.center,
            best_loss=zeros,
            last_loss=zeros,
            n_rises=zeros,
            checked_loss=zeros,
            halved=torch.ones_like(zeros, dtype=torch.bool),
        )

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        """Step along the gradient, from the second step on with momentum; at a checkpoint, perhaps from the best."""
        self._observe(current, values, gradient, first=number == 0)
        if number in self.checkpoints:
            current, gradient = self.check(current, gradient, window=self.checkpoints[number])
        direction = norms.direction(gradient, self.ball.norm)
        length = norms.per_example(self.length, direction)
        moved = self.ball.project(torch.addcmul(current, length, direction))
        if number:
            drift = current - self.previous
            moved = torch.lerp(current, moved, 1 - MOMENTUM).add_(drift, alpha=MOMENTUM)
            moved = self.ball.project(moved)
        self.previous = current
        return moved

    def check(self, current: Tensor, gradient: Tensor, *, window: int) -> tuple[Tensor, Tensor]:
        """Halve the length of runs that oscillate or stand still, and send them back to their best.

        Condition 1: at most `rho * window` of the window's steps raised the loss. Condition 2: the length was not
        halved at the last checkpoint, and the best loss has not grown since.
        """
        oscillates = self.n_rises <= self.rho * window
        stands_still = ~self.halved & (self.checked_loss >= self.best_loss)
        self.halved = oscillates | stands_still
        self.length = torch.where(self.halved, self.length / 2, self.length)
        self.checked_loss = self.best_loss
        self.n_rises = torch.zeros_like(self.n_rises)
        rows = norms.per_example(self.halved, current)
        return chosen_rows(self.halved, self.best, current), torch.where(rows, self.best_gradient, gradient)

    def _observe(self, current: Tensor, loss: Tensor, gradient: Tensor, *, first: bool) -> None:
        if first:
            self.best, self.best_gradient = current, gradient
            self.best_loss = self.checked_loss = loss
            return
        self.n_rises = self.n_rises + (loss > self.last_loss)
        self.last_loss = loss
        better = loss > self.best_loss
        rows = norms.per_example(better, gradient)
        self.best = chosen_rows(better, current, self.best)
        self.best_gradient = torch.where(rows, gradient, self.best_gradient)
        self.best_loss = torch.where(better, loss, self.best_loss)


def windows(steps: int) -> dict[int, int]:
    """Checkpoints of a run of APGD, each with the number of steps since the one before (section 3.2).

    The first window is 22 % of the steps, each later one 3 % shorter, down to 6 %.

    >>> windows(100)
    {22: 22, 41: 19, 57: 16, 70: 13, 80: 10, 87: 7, 93: 6, 99: 6}
    """
    window, shortest, shrink = (max(steps * percent // 100, 1) for percent in (22, 6, 3))
    found: dict[int, int] = {}
    end = window
    while end <= steps:
        found[end] = window
        window = max(window - shrink, shortest)
        end += window
    return found
