"""Projected gradient ascent, the search of every attack that follows gradients: its loss and step rule are arguments.

What is climbed and what is scored are two things. An attack on a structured model often climbs something else than the
logits that decide (raw logits, a frozen sub-network, a router's opinion); an iterate still counts by the model's own
logits alone, as the harness will judge it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from bench.attacks.search.ball import Ball
from bench.attacks.search.batching import Part, batches, joined
from bench.attacks.search.best_so_far import Best, BestSoFar, judge
from bench.attacks.search.gradients import differentiate, predict
from bench.attacks.search.redrawn import Redrawn
from bench.attacks.search.step_rules import RHO, HalvingStep, StepRule
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops.sampling import Stream

__all__ = ["ApgdSearch", "Logits", "Loss", "Runs", "View", "ascend", "untargeted"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of a view's outputs `(M, K')`, labels `(M,)` and targets `(M,)`; one value per example, to be raised."""


class View(Protocol):
    """What an attack sees of a model.

    Attributes:
        passes: how many of the model's passes a look takes: several where it is stochastic.
    """

    @property
    def passes(self) -> int:
        return 1

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """What is climbed, `(M, K')`, at `inputs` `(M, C, H, W)` of the batch's examples `rows`, int64 `(M,)`."""
        ...

    def decided(self, outputs: Tensor) -> Tensor:
        """The model's own logits `(M, C)`, out of the outputs: what is scored."""
        ...


@dataclass(frozen=True, kw_only=True)
class Logits(View):
    """The model's logits are climbed, and decide."""

    classifier: Classifier

    @property
    def passes(self) -> int:
        """As many as the classifier asks for."""
        return self.classifier.passes if isinstance(self.classifier, Redrawn) else 1

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Logits `(M, K)`."""
        del rows
        return self.classifier(inputs)

    def decided(self, outputs: Tensor) -> Tensor:
        """The same."""
        return outputs


def untargeted(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss of logits and labels that looks at no target."""
    return lambda outputs, labels, targets: loss(outputs, labels)


@dataclass(kw_only=True)
class Runs:
    """Runs in progress, one row each: `(M, ...)` throughout.

    Args:
        positions: which example of the batch each run attacks.
        runs: the run's number, in the order in which runs count.
        labels: the example's class.
        targets: what the loss is told.
        rule: how they move.
        current: the iterate.
        values: of the loss there.
        gradient: of the loss there.
        found: the best point seen.
    """

    positions: Tensor
    runs: Tensor
    labels: Tensor
    targets: Tensor
    rule: StepRule
    current: Tensor
    values: Tensor
    gradient: Tensor
    found: Best

    @classmethod
    def at(
        cls,
        start: Tensor,
        rule: StepRule,
        labels: Tensor,
        *,
        targets: Tensor | None = None,
        positions: Tensor | None = None,
        runs: Tensor | None = None,
        found: Best | None = None,
    ) -> Runs:
        """Runs that begin at `start`, `(M, C, H, W)`, not evaluated yet.

        Args:
            start: inside the ball.
            rule: how they move.
            labels: int64 `(M,)`.
            targets: what the loss is told, `(M,)`; the labels where None.
            positions: of the examples in the batch, int64 `(M,)`; one after the other where None.
            runs: their numbers, int64 `(M,)`; all the first where None.
            found: what was seen before them.
        """
        return cls(
            positions=torch.arange(len(start), device=start.device) if positions is None else positions,
            runs=torch.zeros_like(labels) if runs is None else runs,
            labels=labels,
            targets=labels if targets is None else targets,
            rule=rule,
            current=start,
            values=start.new_zeros(len(start)),
            gradient=start,
            found=Best.none_yet(start) if found is None else found,
        )


def ascend(view: View, runs: Runs, loss: Loss, *, steps: int, best: BestSoFar | None = None) -> Runs:
    """Take so many steps up the loss; return the runs that are left, each at its last iterate.

    Every iterate counts, the first and the last included, and a run leaves once its example is broken (but see
    `Best.until_broken`).

    Args:
        view: what is climbed, and what decides.
        runs: where they start.
        loss: of the view's outputs.
        steps: how many; each is one pass forwards and one back, and the last iterate one more forwards.
        best: what is found goes in there; None where only the last iterate counts, which is not judged then.
    """
    for step in range(steps):
        if not len(runs.positions):
            return runs
        outputs = functools.partial(view.outputs, rows=runs.positions)
        objective = functools.partial(_values, loss=loss, runs=runs)
        seen = differentiate(outputs, runs.current, objective, passes=view.passes)
        runs.values, runs.gradient = seen.values, seen.gradient
        if best is not None:
            runs.found.note(runs.current, judge(view.decided(seen.logits), runs.labels))
            runs = best.dismiss(runs, step=step)
        runs.current = runs.rule.step(runs.current, runs.values, runs.gradient, number=step)
    if best is not None and len(runs.positions):
        outputs = functools.partial(view.outputs, rows=runs.positions)
        logits = predict(outputs, runs.current, passes=view.passes)
        runs.found.note(runs.current, judge(view.decided(logits), runs.labels))
        best.settle(runs)
    return runs


def _values(outputs: Tensor, *, loss: Loss, runs: Runs) -> Tensor:
    return loss(outputs, runs.labels, runs.targets)


@dataclass(frozen=True, kw_only=True)
class ApgdSearch:
    """APGD on a batch, over all its runs; `points` is what the attack returns.

    Random starts are keyed per example, and an example leaves as soon as it is broken.

    Args:
        view: what is climbed, and what decides.
        examples: what it attacks, at least one.
        threat_model: within which ball.
        stream: of its draws.
        best: the best point of every example so far.
    """

    view: View
    examples: Examples
    threat_model: ThreatModel
    stream: Stream
    best: BestSoFar

    @classmethod
    def of(cls, view: View, examples: Examples, threat_model: ThreatModel, *, seed: int, attack: str) -> ApgdSearch:
        """Begin with nothing; `attack` keys the draws."""
        stream, best = Stream(seed=seed, attack=attack), BestSoFar(examples.inputs)
        return cls(view=view, examples=examples, threat_model=threat_model, stream=stream, best=best)

    @property
    def points(self) -> Tensor:
        """The best point of every example, `(N, C, H, W)`."""
        return self.best.points

    def note(self, points: Tensor) -> Tensor:
        """Score one point of every example, `(N, C, H, W)` inside the ball; return the view's outputs `(N, K')`."""
        rows = torch.arange(len(points), device=points.device)
        outputs = predict(functools.partial(self.view.outputs, rows=rows), points, passes=self.view.passes)
        self.best.note(points, judge(self.view.decided(outputs), self.examples.labels))
        return outputs

    def climb(
        self, loss: Loss, *, steps: int, restarts: int = 1, targets: Tensor | None = None, rho: float = RHO
    ) -> None:
        """Raise `loss` from random starts on the surface of the ball, on every example that is not broken yet.

        Args:
            loss: of the view's outputs.
            steps: number of steps of each run.
            restarts: runs for each column of `targets`.
            targets: what the loss is told, `(N, T)`, a column for each target in turn; the labels alone where None.
            rho: as in `HalvingStep`.
        """
        told = self.examples.labels[:, None] if targets is None else targets
        streams = [
            replace(self.stream, target=number, restart=restart)
            for number in range(told.shape[1])
            for restart in range(restarts)
        ]
        for batch in batches(len(streams), self.best.open, size=len(self.examples)):
            positions, runs = joined(batch)
            chosen = self.examples[positions]
            ball = Ball.around(chosen.inputs, self.threat_model)
            started = Runs.at(
                ball.project(chosen.inputs + self._surface_noise(ball, batch, streams)),
                HalvingStep.within(ball, steps=steps, rho=rho),
                chosen.labels,
                targets=torch.cat([told[part.positions, streams[part.run].target] for part in batch]),
                positions=positions,
                runs=runs,
            )
            ascend(self.view, started, loss, steps=steps, best=self.best)

    def _surface_noise(self, ball: Ball, batch: list[Part], streams: list[Stream]) -> Tensor:
        indices = self.examples.indices
        return torch.cat([ball.surface_noise(streams[part.run], indices[part.positions]) for part in batch])
