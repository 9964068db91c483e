"""DUCAT around PGD-AT, TRADES or MART: a dummy class `c + C` for each class `c`, where adversarial inputs may end.

Wang et al. 2024 (arXiv 2410.12671), after the authors' code. For the first four fifths of training (104 of 130 epochs)
the network with 2C logits `f` is trained by the base objective with labels below C. Then the cross-entropy is replaced
by that of two-hot targets, `e_k` being one-hot over 2C classes:

    L = 1/2 CE(f(x), 0.75 e_y + 0.25 e_{y+C}) + 1/2 CE(f(x'), e_{y+C}) + R(f(x), f(x'), y),

where `R` is the regulariser of the base objective over 2C classes: none for PGD-AT, beta times the divergence for
TRADES, and for MART everything but its cross-entropy (whose strongest wrong class may be the example's own dummy).
Clean and adversarial inputs pass as one batch. The training attack is the base objective's on all 2C logits: for PGD-AT
and MART it increases the 2C-way cross-entropy against the real label, so that moving an example to its dummy satisfies
it. At test time the model recovers C logits, see `bench.models.architectures.ducat`; training uses the raw ones.

OUR CHOICE: before the start the base objective is unchanged (the authors' TRADES takes its cross-entropy on `x'`), and
`R` uses the same forward pass as the cross-entropy (the authors' TRADES takes two more). The last
epoch is the one that is kept: the held-out attack sees recovered logits, and by it the best epoch would be the one that
DUCAT has changed least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures.ducat import Ducat
from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["DummyClasses", "Regularized", "two_hot"]


class Regularized(Protocol):
    """An objective that is a cross-entropy plus a regulariser of clean and adversarial logits."""

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """The inputs to train on besides the clean ones."""
        ...

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Cross-entropy plus regulariser."""
        ...

    def regularizer(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """The loss but for its cross-entropy, from logits `(N, K)`."""
        ...


@dataclass(frozen=True, kw_only=True)
class DummyClasses(Objective):
    """`base` on the raw logits of a `ducat` model, with two-hot targets in the last part of training.

    Args:
        base: the objective that DUCAT extends.
        start: share of training before the two-hot targets, in [0, 1].
        clean_share: what the dummy class gets of a clean target; `beta_1` in the paper.
        adversarial_share: what the dummy class gets of an adversarial target; `beta_2` in the paper.
    """

    base: Regularized
    start: float = 0.8
    clean_share: float = 0.25
    adversarial_share: float = 1.0

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """What `base` crafts against all 2C logits."""
        return self.base.craft(_network(model), inputs, labels, context)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """The loss of `base`; from the start on, with two-hot targets."""
        network = _network(model)
        if not self._started(context.epoch, context.epochs):
            return self.base.loss(network, batch, context)
        logits = network(torch.cat((batch.inputs, batch.adversarial))).float()  # (2N, 2C)
        classes = logits.shape[1] // 2
        targets = [two_hot(batch.labels, classes, share) for share in (self.clean_share, self.adversarial_share)]
        clean, adversarial = logits.chunk(2)
        cross_entropy = functional.cross_entropy(logits, torch.cat(targets))
        return cross_entropy + self.base.regularizer(clean, adversarial, batch.labels)

    def eligible(self, epoch: int, epochs: int) -> bool:
        """Whether that epoch is the last."""
        return epoch == epochs - 1

    def _started(self, epoch: float, epochs: int) -> bool:
        return epoch >= self.start * epochs


def two_hot(labels: Tensor, num_classes: int, dummy_share: float) -> Tensor:
    """Targets `(N, 2C)`: `dummy_share` on class `y + C`, the rest on class `y`.

    >>> two_hot(torch.tensor([1]), 2, 0.25)
    tensor([[0.0000, 0.7500, 0.0000, 0.2500]])
    """
    real = (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()
    return torch.cat(((1 - dummy_share) * real, dummy_share * real), dim=1)


def _network(model: nn.Module) -> nn.Module:
    """The network whose output `(N, 2C)` is what `raw` of a `ducat` model returns."""
    return cast(Ducat, model).backbone
