"""PGD: projected gradient ascent on the cross-entropy from a random start.

Madry et al. 2018 (arXiv 1706.06083), section 2.1.

Differences: every iterate counts, not only the last; the random start is drawn per example and per restart from a key,
and an example that is broken takes no further restart; step sizes are relative to epsilon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.ascent import Ascent, Best, Loss, random_start
from bench.attacks.attack import UNRECORDED, Finish, SingleAttack, StepSize
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["PGD", "PGD_20_STEP", "TENTH", "ascend_with_restarts"]

TENTH = StepSize(linf=Fraction(1, 10), l2=Fraction(1, 10))
PGD_20_STEP = StepSize(linf=Fraction(1, 4), l2=Fraction(15, 128))
"""2/255 of 8/255 in Linf, 15/255 of 128/255 in L2."""


@dataclass(frozen=True, kw_only=True)
class PGD(SingleAttack):
    """Projected gradient ascent on the cross-entropy.

    Args:
        name: how rows call it.
        steps: number of steps.
        relative_step_size: length of a step as a fraction of epsilon.
        restarts: number of starts.
        random_start: uniform in the ball, or the clean input.
        verdict_only: whether margins do not matter: gradients may be taken in bfloat16
            (`--precision`), and a misclassified example stops, on a CPU at once. Not in suites whose columns stand
            beside those of papers: survivors' margins come out a little larger, though on 500 images no break was lost.
    """

    name: str = "pgd-20"
    steps: int = 20
    relative_step_size: StepSize = PGD_20_STEP
    restarts: int = 1
    random_start: bool = True
    verdict_only: bool = field(default=False, metadata=UNRECORDED)

    @property
    def logits_only(self) -> bool:
        """Any form of the model will do."""
        return True

    @property
    def finish(self) -> Finish | None:
        """Where the verdict alone matters, refused breaks are searched again in float32, and no step is added."""
        return "nothing" if self.verdict_only else None

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest margin over all steps and restarts, `(N, C, H, W)`."""
        return ascend_with_restarts(self, losses.cross_entropy, classifier, examples, threat_model, seed=seed)


def ascend_with_restarts(
    attack: PGD, loss: Loss, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
) -> Tensor:
    """Run `attack` on `loss`, each restart on the examples that are not broken yet."""
    step_size = float(attack.relative_step_size.of(threat_model.norm) * threat_model.epsilon)
    ascent = Ascent(loss=loss, steps=attack.steps, step_size=step_size, until_broken=attack.verdict_only)
    best = Best(examples.inputs, torch.full(examples.labels.shape, math.inf, device=examples.inputs.device))
    for restart in range(attack.restarts):
        left = (best.margin >= 0).nonzero().squeeze(1)
        if not len(left):
            break
        part = examples[left]
        start = part.inputs
        if attack.random_start:
            start = random_start(part, threat_model, Stream(seed=seed, attack=attack.name, restart=restart))
        best = best.entered(left, best.rows(left).improved(*ascent.run(classifier, part, threat_model, start)))
    return best.inputs


ENTRY = (PGD(), PGD(name="pgd-100", steps=100, relative_step_size=TENTH))
