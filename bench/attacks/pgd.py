"""PGD: projected gradient ascent on the cross-entropy from a random start.

Madry et al. 2018 (arXiv 1706.06083), section 2.1.

Differences: every iterate counts, not only the last; the random start is drawn per example and per restart from a key,
and an example that is broken takes no further restart; step sizes are relative to epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from torch import Tensor

from bench.attacks.attack import UNRECORDED, SingleAttack, StepSize
from bench.attacks.search import Ball, Best, BestSoFar, FixedStep, Logits, Runs, ascend, random_start
from bench.core.types import Classifier, Examples, Finish, Norm, ThreatModel
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["PGD", "PGD_20_STEP", "TENTH"]

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
    def norms(self) -> frozenset[Norm]:
        """All: the shared loop knows each ball."""
        return frozenset(Norm)

    @property
    def logits_only(self) -> bool:
        """Any form of the model will do."""
        return True

    @property
    def finish(self) -> Finish | None:
        """Where the verdict alone matters, refused breaks are searched again in float32, and no step is added."""
        return "nothing" if self.verdict_only else None

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts

    @property
    def leaves_when_broken(self) -> bool:
        """Where margins do not matter."""
        return self.verdict_only

    def loss(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """What is climbed, `(N,)`."""
        del targets
        return losses.cross_entropy(logits, labels)

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest margin over all steps and restarts, `(N, C, H, W)`."""
        best = BestSoFar(examples.inputs)
        for restart in range(self.restarts):
            left = best.open()
            if not len(left):
                break
            part, stream = examples[left], Stream(seed=seed, attack=self.name, restart=restart)
            start = random_start(part, threat_model, stream) if self.random_start else part.inputs
            runs = Runs.at(
                start,
                self.rule(part, threat_model),
                part.labels,
                positions=left,
                found=Best.none_yet(start, until_broken=self.verdict_only),
            )
            ascend(Logits(classifier=classifier), runs, self.loss, steps=self.steps, best=best)
        return best.points

    def rule(self, examples: Examples, threat_model: ThreatModel) -> FixedStep:
        """Steps of the attack's length."""
        length = float(self.relative_step_size.of(threat_model.norm) * threat_model.epsilon)
        return FixedStep(ball=Ball.around(examples.inputs, threat_model), length=length)


ENTRY = (PGD(), PGD(name="pgd-100", steps=100, relative_step_size=TENTH))
