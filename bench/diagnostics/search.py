"""The doctor's own attacks: projected gradient ascent that stops at an example's first break.

They are plain on purpose (Carlini et al. 2019, arXiv 1902.06705): what is looked at is the order between weak and
strong ones, and a model that the plain ones cannot climb shows here first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.search import Ball, BestSoFar, FixedStep, Logits, Runs, ascend, random_start, untargeted
from bench.core.types import Classifier, Examples, ThreatModel
from bench.diagnostics.queries import BATCH
from bench.ops import losses
from bench.ops.choosing import chosen_rows
from bench.ops.sampling import Stream

__all__ = ["Found", "Objective", "Search"]

Objective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One point per example, and whether it is misclassified there.

    Args:
        points: `(N, C, H, W)`: the break, or the last iterate where there is none.
        broken: bool `(N,)`.
    """

    points: Tensor
    broken: Tensor

    @property
    def left(self) -> Tensor:
        """Rows that withstood, int64 `(M,)`."""
        return (~self.broken).nonzero().squeeze(1)

    def joined(self, other: Found, rows: Tensor) -> Found:
        """This, with what was found on `rows` `(M,)` put in where it breaks."""
        better = rows[other.broken]
        points, broken = self.points.clone(), self.broken.clone()
        points[better], broken[better] = other.points[other.broken], True
        return Found(points=points, broken=broken)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Steps of one length along the steepest direction, each projected; an example that breaks takes no further step.

    Args:
        name: keys its random starts.
        objective: of logits and labels, one value per example; what is increased.
        steps: number of steps.
        step: length of a step as a fraction of epsilon.
        random_start: uniform in the ball, or the input itself.
    """

    name: str
    objective: Objective = losses.cross_entropy
    steps: int
    step: float
    random_start: bool = True

    def run(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Found:
        """Attack all examples, in batches."""
        parts = [self._run(classifier, part, threat_model, seed) for part in examples.split(BATCH)]
        return Found(
            points=torch.cat([part.points for part in parts]) if parts else examples.inputs,
            broken=torch.cat([part.broken for part in parts]) if parts else examples.labels.bool(),
        )

    def _run(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, seed: int) -> Found:
        start = examples.inputs
        if self.random_start:
            start = random_start(examples, threat_model, Stream(seed=seed, attack=f"doctor-{self.name}"))
        ball, best = Ball.around(examples.inputs, threat_model), BestSoFar(start)
        rule = FixedStep(ball=ball, length=self.step * ball.radius)
        runs = Runs.at(start, rule, examples.labels)
        left = ascend(Logits(classifier=classifier), runs, untargeted(self.objective), steps=self.steps, best=best)
        last = start.index_copy(0, left.positions, left.current)
        return Found(points=chosen_rows(best.best.broken, best.points, last), broken=best.best.broken)
