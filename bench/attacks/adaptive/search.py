"""The ascent that all adaptive attacks share: APGD on any loss of any view of the model, scored by its own margin.

What is climbed and what is scored are two things. An attack on a structured model often climbs something else than the
logits that decide (raw logits, a frozen sub-network, a router's opinion); an iterate still counts by the model's own
logits alone, as the harness will judge it.

The ascent is that of Croce and Hein 2020 (arXiv 2003.01690, algorithm 1) in the state machine of our own engine, so
random starts are keyed per example and an example leaves as soon as it is broken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.attacks.search.apgd_state import ApgdState
from bench.attacks.search.ball import Ball
from bench.attacks.search.batching import Part, joined, waves
from bench.attacks.search.best_so_far import Ledger, judge
from bench.attacks.search.checkpoints import windows
from bench.attacks.search.gradients import differentiate, predict
from bench.core.types import Examples, ThreatModel
from bench.ops.sampling import Stream

__all__ = ["RHO", "Loss", "Search", "View"]

RHO = 0.75
"""Share of improving steps below which the step size is halved, as in APGD."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of a view's outputs `(M, K')`, labels `(M,)` and targets `(M,)`; one value per example, to be raised."""


class View(Protocol):
    """What an attack sees of a structured model."""

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """What is climbed, `(M, K')`, at `inputs` `(M, C, H, W)` of the batch's examples `rows`, int64 `(M,)`."""
        ...

    def decided(self, outputs: Tensor) -> Tensor:
        """The model's own logits `(M, C)`, out of the outputs: what is scored."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """One attack on a batch, over all its runs; `points` is what it returns.

    Args:
        view: what it sees.
        examples: what it attacks, at least one.
        threat_model: within which ball.
        seed: of the run.
        attack: whose draws these are.
        ledger: the best point of every example so far.
    """

    view: View
    examples: Examples
    threat_model: ThreatModel
    seed: int
    attack: str
    ledger: Ledger

    @classmethod
    def of(cls, view: View, examples: Examples, threat_model: ThreatModel, *, seed: int, attack: str) -> Search:
        """Begin with an empty ledger."""
        ledger = Ledger(examples)
        return cls(view=view, examples=examples, threat_model=threat_model, seed=seed, attack=attack, ledger=ledger)

    @property
    def points(self) -> Tensor:
        """The best point of every example, `(N, C, H, W)`."""
        return self.ledger.points

    def note(self, points: Tensor) -> Tensor:
        """Score one point of every example, `(N, C, H, W)` inside the ball; return the view's outputs `(N, K')`."""
        with torch.no_grad():
            outputs = self.view.outputs(points, torch.arange(len(points), device=points.device)).float()
        self.ledger.best.note(points, judge(self.view.decided(outputs), self.examples.labels))
        self.ledger.close()
        return outputs

    def climb(self, loss: Loss, *, steps: int, restarts: int, targets: Tensor | None = None) -> None:
        """Raise `loss` from random starts on the surface of the ball, on every example that is not broken yet.

        Args:
            loss: of the view's outputs.
            steps: number of steps of each run.
            restarts: runs for each column of `targets`.
            targets: what the loss is told, `(N, T)`, a column for each target in turn; the labels alone where None.
        """
        told = self.examples.labels[:, None] if targets is None else targets
        streams = [
            Stream(seed=self.seed, attack=self.attack, target=number, restart=restart)
            for number in range(told.shape[1])
            for restart in range(restarts)
        ]
        for wave in waves(len(streams), self.ledger.open, size=len(self.examples)):
            self._climb(self._start(wave, streams, told), loss, steps)

    def _climb(self, state: ApgdState, loss: Loss, steps: int) -> None:
        checkpoints = windows(steps)
        for step in range(steps + 1):  # the first evaluation is that of the start
            if not len(state.positions):
                return
            outputs = functools.partial(self.view.outputs, rows=state.positions)
            if step == steps:
                self._take_in(state, predict(outputs, state.current))
                break
            seen = differentiate(outputs, state.current, functools.partial(_objective, loss=loss, state=state))
            self._take_in(state, seen.logits)
            state.observe(seen.values, seen.gradient, first=step == 0)
            if step in checkpoints:
                state.check(window=checkpoints[step], rho=RHO)
            state = self.ledger.dismiss(state, step=step)
            state.advance(first=step == 0)
        self.ledger.settle(state)

    def _start(self, wave: list[Part], streams: Sequence[Stream], targets: Tensor) -> ApgdState:
        positions, runs = joined(wave)
        chosen = self.examples[positions]
        ball = Ball.around(chosen.inputs, self.threat_model)
        indices = self.examples.indices
        noise = [ball.surface_noise(streams[part.run], indices[part.positions]) for part in wave]
        return ApgdState.at(
            ball.project(chosen.inputs + torch.cat(noise)),
            ball,
            positions=positions,
            runs=runs,
            labels=chosen.labels,
            targets=torch.cat([targets[part.positions, streams[part.run].target] for part in wave]),
        )

    def _take_in(self, state: ApgdState, outputs: Tensor) -> None:
        state.found.note(state.current, judge(self.view.decided(outputs), state.labels))


def _objective(outputs: Tensor, *, loss: Loss, state: ApgdState) -> Tensor:
    return loss(outputs, state.labels, state.targets)
