"""Where a batch of APGD runs stands, one row per run, and the rules that move it (arXiv 2003.01690, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.search.ball import Ball
from bench.attacks.search.best_so_far import Best
from bench.ops import norms
from bench.ops.choosing import chosen_rows

__all__ = ["ApgdState"]

FIRST_STEP_SIZE = 2.0  # in units of epsilon
MOMENTUM = 0.25


@dataclass(kw_only=True)
class ApgdState:
    """Runs in progress; every field but the ball has one row per run.

    Args:
        positions: which example of the stage each run attacks.
        runs: the run's number.
        labels: its class.
        targets: the class it is driven to (its label where the loss has no target).
        ball: where it may move.
        current: the iterate.
        previous: the iterate one step earlier.
        gradient: of the loss at `current`.
        step_size: in input units.
        best: the iterate of highest loss.
        best_gradient: the gradient there.
        best_loss: the loss there.
        last_loss: the loss at the last iterate. OUR CHOICE, as in the reference: 0 before the first step, so the first
            step counts as a rise when the loss after it is positive.
        n_rises: how many steps since the last checkpoint raised the loss.
        checked_loss: `best_loss` at the last checkpoint.
        found: the best point seen, by margin.
        halved: whether the last checkpoint halved the step size; true at the start.
    """

    positions: Tensor
    runs: Tensor
    labels: Tensor
    targets: Tensor
    ball: Ball
    current: Tensor
    previous: Tensor
    gradient: Tensor
    step_size: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    last_loss: Tensor
    n_rises: Tensor
    checked_loss: Tensor
    halved: Tensor
    found: Best

    @classmethod
    def at(
        cls,
        start: Tensor,
        ball: Ball,
        *,
        positions: Tensor,
        runs: Tensor,
        labels: Tensor,
        targets: Tensor,
        found: Best | None = None,
    ) -> ApgdState:
        """Runs that begin at `start`, `(N, C, H, W)`, not evaluated yet; `found` is what was seen before them."""
        zeros = start.new_zeros(len(start))
        return cls(
            positions=positions,
            runs=runs,
            labels=labels,
            targets=targets,
            ball=ball,
            current=start,
            previous=start,
            gradient=start,
            step_size=torch.full_like(zeros, FIRST_STEP_SIZE * ball.radius),
            best=start,
            best_gradient=start,
            best_loss=zeros,
            last_loss=zeros,
            n_rises=zeros,
            checked_loss=zeros,
            halved=torch.ones_like(zeros, dtype=torch.bool),
            found=found if found is not None else Best.none_yet(start),
        )

    def observe(self, loss: Tensor, gradient: Tensor, *, first: bool) -> None:
        """Take in the loss `(N,)` and the gradient `(N, C, H, W)` at the current iterate."""
        self.gradient = gradient
        if first:
            self.best, self.best_gradient = self.current, gradient
            self.best_loss = self.checked_loss = loss
            return
        self.n_rises = self.n_rises + (loss > self.last_loss)
        self.last_loss = loss
        better = loss > self.best_loss
        rows = norms.per_example(better, gradient)
        self.best = chosen_rows(better, self.current, self.best)
        self.best_gradient = torch.where(rows, gradient, self.best_gradient)
        self.best_loss = torch.where(better, loss, self.best_loss)

    def check(self, *, window: int, rho: float) -> None:
        """At a checkpoint: halve the step size of runs that oscillate or stand still, and send them back to their best.

        Condition 1: at most `rho * window` of the window's steps raised the loss. Condition 2: the step size was not
        halved at the last checkpoint, and the best loss has not grown since.
        """
        oscillates = self.n_rises <= rho * window
        stands_still = ~self.halved & (self.checked_loss >= self.best_loss)
        self.halved = oscillates | stands_still
        self.step_size = torch.where(self.halved, self.step_size / 2, self.step_size)
        rows = norms.per_example(self.halved, self.current)
        self.current = chosen_rows(self.halved, self.best, self.current)
        self.gradient = torch.where(rows, self.best_gradient, self.gradient)
        self.checked_loss = self.best_loss
        self.n_rises = torch.zeros_like(self.n_rises)

    def advance(self, *, first: bool) -> None:
        """Step along the gradient, with momentum from the second step on."""
        direction = norms.direction(self.gradient, self.ball.norm)
        step_size = norms.per_example(self.step_size, direction)
        moved = self.ball.project(torch.addcmul(self.current, step_size, direction))
        if not first:
            drift = self.current - self.previous
            moved = torch.lerp(self.current, moved, 1 - MOMENTUM).add_(drift, alpha=MOMENTUM)
            moved = self.ball.project(moved)
        self.previous, self.current = self.current, moved
