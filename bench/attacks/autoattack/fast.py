"""Our own AutoAttack engine, written for throughput: each stage returns the best iterate of every example.

It knows nothing of models: a classifier is a callable on inputs in [0, 1]. What makes a network fast (folded batch
norm, memory format, frozen weights) is done to the classifier before it comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.attacks.autoattack.apgd import cross_entropy_search, targeted_search
from bench.attacks.autoattack.fab import boundary_search
from bench.attacks.autoattack.square import square_search

if TYPE_CHECKING:
    from torch import Tensor

    from bench.attacks.autoattack import stages
    from bench.core.types import Classifier, Examples, ThreatModel

__all__ = ["apgd", "fab", "square"]


def apgd(
    classifier: Classifier,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    stage: stages.ApgdCe | stages.ApgdT,
    seed: int,
) -> Tensor:
    """Run APGD on the cross-entropy or, for an `ApgdT`, on the targeted DLR loss: the best iterates `(N, C, H, W)`."""
    if not len(examples):
        return examples.inputs
    from bench.attacks.autoattack.stages import ApgdT  # it imports this package

    if isinstance(stage, ApgdT):
        return targeted_search(classifier, examples, threat_model, stage=stage, seed=seed)
    return cross_entropy_search(classifier, examples, threat_model, stage=stage, seed=seed)


def fab(
    classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, stage: stages.FabT, seed: int
) -> Tensor:
    """Run targeted FAB: the best points inside the ball, `(N, C, H, W)`."""
    if not len(examples):
        return examples.inputs
    return boundary_search(classifier, examples, threat_model, stage=stage, seed=seed)


def square(
    classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, stage: stages.Square, seed: int
) -> Tensor:
    """Run Square: the best points, `(N, C, H, W)`."""
    if not len(examples):
        return examples.inputs
    return square_search(classifier, examples, threat_model, stage=stage, seed=seed)
