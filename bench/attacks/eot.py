"""Attacks on stochastic models: searches on means over passes, or on the model with its draws held fixed.

A search on means takes the gradient of the expected loss, estimated by `passes` passes at every iterate (expectation
over transformation: Athalye et al. 2018, arXiv 1707.07397; of randomised defences Athalye, Carlini and
Wagner 2018, arXiv 1802.00420, section 5.3; AutoAttack's version `rand`: 20 passes). Values, and what counts as broken,
are of the same passes. An example leaves once three quarters of them err.

Differences from AutoAttack's `rand`: the loss that APGD's step rule looks at is the mean over the passes, there that of
the last; an iterate counts by all passes, there by the last, so that one lucky miss is a success.

Every pass is seeded by run, attack, the batch's examples and its number. Draws are of a whole batch, so chunks are
never joined. Each example alone would need no such rule, and 13 times the time: a gradient of 64 examples takes 11 ms
in a batch and 139 ms one by one on a CPU (`pgd-at` of digits), and a GPU gains more from batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.attack import SingleAttack
from bench.attacks.autoattack import ApgdCe, ApgdT
from bench.attacks.constraint_relaxation import ConstraintRelaxation
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.attacks.search import Redrawn
from bench.core.types import Attack, Classifier, Examples, Norm, ThreatModel
from bench.ops.generators import generators_kept

__all__ = ["EoT", "FrozenDraws"]

_ON_MEANS = (FGSM, PGD, ApgdCe, ApgdT, ConstraintRelaxation)
"""CW is a PGD."""


@dataclass(frozen=True, kw_only=True)
class _OfStochastic(SingleAttack):
    """What both are made of.

    Args:
        name: how rows call it.
        attack: one that follows gradients by the shared searches.
    """

    name: str
    attack: Attack

    @property
    def norms(self) -> frozenset[Norm]:
        """Those of the attack."""
        return self.attack.norms

    @property
    def leaves_when_broken(self) -> bool:
        return self.attack.leaves_when_broken


@dataclass(frozen=True, kw_only=True)
class EoT(_OfStochastic):
    """An attack on the means over passes of fresh draws: FGSM, PGD, CW, our own APGD or constraint relaxation.

    Args:
        passes: how many at each iterate.

    Raises:
        ValueError: if the attack is none of these, or in several stages: it would take one lucky pass for a break.
    """

    passes: int = 20

    def __post_init__(self) -> None:
        if not isinstance(self.attack, _ON_MEANS) or self.attack.engine == "reference":
            raise ValueError(
                "Expected `attack` to take means over passes, as FGSM, PGD, CW, one APGD of our own engine and"
                f" constraint relaxation do, but {self.attack.name} looks at single ones; FrozenDraws takes any."
            )

    @property
    def per_chunk(self) -> bool:
        """The model draws for a whole batch."""
        return True

    @property
    def n_passes(self) -> int:
        return self.passes * self.attack.n_passes

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the surest break, or the point of smallest margin, `(N, C, H, W)`."""
        key = (seed, self.name, *examples.indices.tolist())
        with generators_kept():
            return self.attack.perturb(
                Redrawn(classifier, key=key, passes=self.passes), examples, threat_model, seed=seed
            )


@dataclass(frozen=True, kw_only=True)
class FrozenDraws(_OfStochastic):
    """An attack on the model with its draws held fixed, which is deterministic; what it finds is to transfer.

    Each example is attacked alone, since a draw of a batch would be another one whenever an example leaves it.
    """

    @property
    def n_passes(self) -> int:
        return self.attack.n_passes

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point against the draws of each example, `(N, C, H, W)`."""
        found = [examples.inputs[:0]]
        with generators_kept():
            for each in examples.split(1):
                frozen = Redrawn(classifier, key=(seed, self.name, int(each.indices[0])), fresh=False)
                found.append(self.attack.perturb(frozen, each, threat_model, seed=seed))
        return torch.cat(found)
