"""The doctor's own attacks: projected gradient ascent that stops at an example's first break.

They are plain on purpose (Carlini et al. 2019, arXiv 1902.06705): what is looked at is the order between weak and
strong ones, and a model that the plain ones cannot climb shows here first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.ascent import random_start
from bench.core.types import Classifier, Examples, ThreatModel
from bench.diagnostics.asking import BATCH, is_wrong, predict, slope
from bench.ops import losses, norms
from bench.ops.projections import project
from bench.ops.sampling import Stream

__all__ = ["Found", "Objective", "Search", "margin"]

Objective = Callable[[Tensor, Tensor], Tensor]


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """`max_{k != y} z_k - z_y`, `(N,)`, which grows as the example comes closer to being misclassified."""
    return -losses.margin(logits, labels)


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
        points = examples.inputs.clone()
        if self.random_start:
            points = random_start(examples, threat_model, Stream(seed=seed, attack=f"doctor-{self.name}"))
        broken = torch.zeros(len(examples), dtype=torch.bool, device=points.device)
        left = torch.arange(len(examples), device=points.device)
        for _ in range(self.steps):
            wrong, moved = self._step(classifier, points[left], examples[left], threat_model)
            broken[left[wrong]] = True
            points[left[~wrong]] = moved[~wrong]
            left = left[~wrong]
            if not len(left):
                return Found(points=points, broken=broken)
        broken[left] = is_wrong(predict(classifier, points[left]), examples.labels[left])
        return Found(points=points, broken=broken)

    def _step(
        self, classifier: Classifier, points: Tensor, examples: Examples, threat_model: ThreatModel
    ) -> tuple[Tensor, Tensor]:
        """Which points are misclassified already, `(N,)`, and where one step leads, `(N, C, H, W)`."""
        seen = slope(classifier, points, lambda logits, rows: self.objective(logits, examples.labels[rows]))
        heading = norms.direction(seen.gradient.nan_to_num(0.0, 0.0, 0.0), threat_model.norm)
        moved = points + self.step * float(threat_model.epsilon) * heading
        return is_wrong(seen.logits, examples.labels), project(moved, examples.inputs, threat_model)
