"""The joint attack on dummy classes: APGD that pushes down the logits of a class and of its dummy together.

After the idea of the Dummy-Aware Weighted Attack (DAWA, arXiv 2603.29182), which pushes down the true and the dummy
label at once with adaptive weights and takes a leading defence of this kind from 58.61 to 29.52 % on CIFAR-10.

OUR CHOICE: its weighting rule is not in what we could read. Ours is `pair_weights`: both members while the decision is
far from falling, the one that holds the decision when it is near. Of the temperatures 1, 0.3 and 0.1, 60 steps of this
attack left 36, 33 and 33 of 192 images robust on our CIFAR-10 checkpoint. The loss is the margin, and the targeted
form goes to each other class t and to its dummy t + C apart, since the maximum of the two follows only the present
winner. DAWA reports 100 and 1,000 steps, and so does the suite.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.adaptive.pair_attack import PairAttack
from bench.attacks.adaptive.pairs import (
    joint_margin,
    recovered,
    targeted_joint_margin,
)
from bench.attacks.search import rank

__all__ = ["Joint", "JointTargeted", "raw_targets"]

TEMPERATURE = 0.3


@dataclass(frozen=True, kw_only=True)
class Joint(PairAttack):
    """APGD on the joint margin.

    Args:
        name: how rows call it.
        steps: number of steps.
        temperature: of the weights, in units of the recovered margin.
        restarts: number of random starts.
    """

    name: str = "joint"
    temperature: float = TEMPERATURE

    def loss(self, raw: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        del targets
        return joint_margin(raw, labels, self.temperature)


@dataclass(frozen=True, kw_only=True)
class JointTargeted(PairAttack):
    """APGD on the targeted joint margin, one run for each raw target.

    Args:
        name: how rows call it.
        steps: number of steps for each target.
        targets: how many raw targets: the strongest wrong classes, each followed by its dummy; at most 2 (K - 1).
        temperature: of the weights, in units of the recovered margin.
        restarts: number of random starts for each target.
    """

    name: str = "joint-t"
    targets: int = 18
    temperature: float = TEMPERATURE

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts * self.targets

    def targeted(self, raw: Tensor, labels: Tensor) -> Tensor:
        """The strongest wrong classes, each followed by its dummy."""
        return raw_targets(raw, labels, self.targets)

    def loss(self, raw: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return targeted_joint_margin(raw, labels, targets, self.temperature)


def raw_targets(raw: Tensor, labels: Tensor, count: int) -> Tensor:
    """The wrong classes, strongest recovered logit first, each followed by its dummy: `(N, min(count, 2 (C - 1)))`."""
    classes = raw.shape[1] // 2
    strongest = rank(recovered(raw), labels, classes - 1)
    return torch.stack((strongest, strongest + classes), dim=2).flatten(1)[:, :count]
