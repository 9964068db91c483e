"""Models with dummy classes: how attacks see them, and losses of their raw logits.

Raw logits z are `(N, 2C)`, class c and its dummy c + C; the decision is the arg max over c of max(z_c, z_{c+C}). Every
loss has one value per example and grows as the example comes closer to being misclassified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from bench.attacks.search import View
from bench.core.errors import BenchError
from bench.core.structure import DummyClasses, structures_of
from bench.core.types import Classifier
from bench.ops import losses

__all__ = [
    "PairView",
    "joint_margin",
    "merged_cross_entropy",
    "pair_logits",
    "pair_weights",
    "recovered",
    "smooth_margin",
    "targeted_joint_margin",
    "with_dummies",
]

SMALLEST_TEMPERATURE = 1e-12


def with_dummies(classifier: Classifier, attack: str) -> DummyClasses:
    """The classifier as one with dummy classes.

    Raises:
        BenchError: if it declares none, naming the attack.
    """
    if "raw-pairs" not in structures_of(classifier):
        raise BenchError(f"Attack {attack} needs a model with dummy classes: expected a method `raw`, but got none.")
    return cast(DummyClasses, classifier)


@dataclass(frozen=True, kw_only=True)
class PairView(View):
    """Raw logits to climb; recovered ones decide."""

    classifier: DummyClasses

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Raw logits `(M, 2C)`."""
        del rows
        return self.classifier.raw(inputs)

    def decided(self, outputs: Tensor) -> Tensor:
        """Recovered logits `(M, C)`."""
        return recovered(outputs)


def recovered(raw: Tensor) -> Tensor:
    """The larger logit of each pair: `(N, 2C)` to `(N, C)`."""
    return torch.maximum(*raw.chunk(2, dim=1))


def pair_logits(raw: Tensor) -> Tensor:
    """The logit of each pair's probability, log(exp z_c + exp z_{c+C}): `(N, 2C)` to `(N, C)`."""
    return torch.logaddexp(*raw.chunk(2, dim=1))


def merged_cross_entropy(raw: Tensor, labels: Tensor) -> Tensor:
    """`-log(p_y + p_{y+C})` of the softmax over all 2C."""
    return losses.cross_entropy(pair_logits(raw), labels)


def smooth_margin(raw: Tensor, labels: Tensor) -> Tensor:
    """`max_{k != y} l_k - l_y` of the pairs' logits l, which have a gradient in both members of every pair."""
    return losses.negative_margin(pair_logits(raw), labels)


def pair_weights(raw: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """How much each member of the label's pair is pushed down: `(N, 2)`, which sum to 1 and carry no gradient.

    OUR CHOICE: a softmax of the pair over a temperature in units of the recovered margin. Far from the boundary both
    members go down, so that no step pays for one by raising the other; close to it, only the one that still holds the
    decision counts. Multiplying all logits by a constant changes no weight.
    """
    raw = raw.detach()
    scale = (temperature * losses.margin(recovered(raw), labels)).clamp_min(SMALLEST_TEMPERATURE)
    return torch.softmax(_own(raw, labels) / scale[:, None], dim=1)


def joint_margin(raw: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """`max_{k != y} r_k - (a z_y + b z_{y+C})`, r the recovered logits and (a, b) the `pair_weights`."""
    others = recovered(raw).scatter(1, labels[:, None], float("-inf")).amax(dim=1)
    return others - _weighted_own(raw, labels, temperature)


def targeted_joint_margin(raw: Tensor, labels: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """`z_t - (a z_y + b z_{y+C})` for a raw target t `(N,)` in 0 to 2C - 1: a class, or a dummy, alone."""
    return raw.gather(1, targets[:, None]).squeeze(1) - _weighted_own(raw, labels, temperature)


def _own(raw: Tensor, labels: Tensor) -> Tensor:
    """The label's pair, `(N, 2)`: class and dummy."""
    return raw.gather(1, torch.stack((labels, labels + raw.shape[1] // 2), dim=1))


def _weighted_own(raw: Tensor, labels: Tensor, temperature: float) -> Tensor:
    return (pair_weights(raw, labels, temperature) * _own(raw, labels)).sum(dim=1)
