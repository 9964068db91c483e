"""Projected gradient ascent that remembers the best iterate: the machinery of PGD and CW."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses, norms
from bench.ops.choosing import chosen_rows
from bench.ops.projections import project
from bench.ops.sampling import Stream, in_unit_ball

__all__ = ["LOOK_EVERY", "Ascent", "Best", "gradient", "random_start"]

LOOK_EVERY = 8
"""On an accelerator, how many steps pass between two looks at what is broken: each look waits for the device."""
Loss = Callable[[Tensor, Tensor], Tensor]


class Best(NamedTuple):
    """The best iterate of each example: the one with the smallest margin `z_y - max_{k != y} z_k`.

    An iterate with a margin that is no number counts as the best there is, so that the harness gets to see it.

    Attributes:
        inputs: `(N, C, H, W)`.
        margin: `(N,)`; below 0 where the iterate is misclassified, infinite where none was seen.
    """

    inputs: Tensor
    margin: Tensor

    def improved(self, inputs: Tensor, margin: Tensor) -> Best:
        """The better of the two for each example; the earlier one where they are equal."""
        margin = margin.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
        better = margin < self.margin
        return Best(chosen_rows(better, inputs, self.inputs), torch.where(better, margin, self.margin))

    def rows(self, which: Tensor) -> Best:
        """Rows `which`, int64 `(M,)`."""
        return Best(self.inputs[which], self.margin[which])

    def entered(self, which: Tensor, found: Best) -> Best:
        """The same with rows `which`, int64 `(M,)`, as in `found`."""
        return Best(self.inputs.index_copy(0, which, found.inputs), self.margin.index_copy(0, which, found.margin))


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """Steps of one length along the steepest direction, each projected.

    Args:
        loss: of logits `(N, K)` and labels `(N,)`, one value per example; what is increased.
        steps: number of steps.
        step_size: length of a step in input units.
        until_broken: whether misclassified examples stop, on a CPU at once, instead of going on to smaller margins.
    """

    loss: Loss
    steps: int
    step_size: float
    until_broken: bool = False

    def run(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, start: Tensor) -> Best:
        """Climb from `start` `(N, C, H, W)`; every iterate counts, the first and the last included."""
        moved, here = start, Best(start, torch.full_like(start.flatten(1)[:, 0], math.inf))
        found, climbing = here, torch.arange(len(start), device=start.device)
        for step in range(self.steps):
            slope, logits = gradient(classifier, moved, examples.labels, self.loss)
            here = here.improved(moved, losses.margin(logits, examples.labels))
            moved = moved + self.step_size * norms.direction(slope, threat_model.norm)
            moved = project(moved, examples.inputs, threat_model)
            looks = self.until_broken and (moved.device.type == "cpu" or step % LOOK_EVERY == 0)
            if looks and bool((here.margin < 0).any()):
                found, left = found.entered(climbing, here), (here.margin >= 0).nonzero().squeeze(1)
                if not len(left):
                    return found
                moved, here, climbing, examples = moved[left], here.rows(left), climbing[left], examples[left]
        with torch.no_grad():
            logits = classifier(moved)
        return found.entered(climbing, here.improved(moved, losses.margin(logits, examples.labels)))


def gradient(classifier: Classifier, inputs: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Gradient of the summed loss with respect to the inputs `(N, C, H, W)`, and the logits `(N, K)`.

    Parameters get no gradient, and the classifier's graph is freed. What is not finite becomes 0, so that an iterate
    at which the model breaks down does not spoil the pixels of those after it.
    """
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        logits = classifier(inputs)
        (slope,) = torch.autograd.grad(loss(logits, labels).sum(), inputs)
    return slope.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), logits.detach()


def random_start(examples: Examples, threat_model: ThreatModel, stream: Stream) -> Tensor:
    """A point uniform in the ball around each input, clipped to [0, 1]; the draw is keyed by the example's index.

    For L2: a uniform direction times epsilon u^(1/d), u uniform, which is uniform in the d-dimensional ball.
    """
    unit = in_unit_ball(stream, examples.indices, examples.inputs.shape[1:], threat_model.norm)
    delta = float(threat_model.epsilon) * unit
    return project(examples.inputs + delta, examples.inputs, threat_model)
