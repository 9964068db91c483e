"""Naive attacks on dummy classes: aimed at the 2C raw logits, as if a dummy were a class like any other.

An attacker who raises the cross-entropy of the true class alone is content when the input falls into that class's own
dummy, which the model then maps back to the class. Evaluations of this kind report what the defence was trained to
show (DUCAT, arXiv 2410.12671, as released); they are reported beside the verdicts and never count.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.attacks.adaptive.pairs import with_dummies
from bench.attacks.attack import SingleAttack, StepSize
from bench.attacks.autoattack import ApgdCe
from bench.attacks.pgd import PGD_20_STEP
from bench.attacks.search import Ball, FixedStep, Logits, Runs, ascend, random_start, untargeted
from bench.core.types import Attack, Classifier, Examples, ThreatModel
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["APGD", "NaivePgd", "OnRawLogits"]

APGD = ApgdCe(engine="fast")
"""The first attack of AutoAttack, by our own engine, whose draws are keyed."""


@dataclass(frozen=True, kw_only=True)
class NaivePgd(SingleAttack):
    """PGD on the cross-entropy of the raw logits; its last iterate, as the released evaluation takes it.

    Args:
        name: how rows call it.
        steps: number of steps.
        relative_step_size: length of a step as a fraction of epsilon.
    """

    name: str = "naive-pgd-20"
    steps: int = 20
    relative_step_size: StepSize = PGD_20_STEP

    @property
    def n_passes(self) -> int:
        return 2 * self.steps

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the last iterate, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no dummy classes.
        """
        model = with_dummies(classifier, self.name)
        if not len(examples):
            return examples.inputs
        length = float(self.relative_step_size.of(threat_model.norm) * threat_model.epsilon)
        rule = FixedStep(ball=Ball.around(examples.inputs, threat_model), length=length)
        start = random_start(examples, threat_model, Stream(seed=seed, attack=self.name))
        runs = Runs.at(start, rule, examples.labels)
        return ascend(Logits(classifier=model.raw), runs, untargeted(losses.cross_entropy), steps=self.steps).current


@dataclass(frozen=True, kw_only=True)
class OnRawLogits(SingleAttack):
    """Another attack, shown the raw logits in place of the recovered ones.

    Args:
        name: how rows call it.
        attack: the attack.
    """

    name: str = "naive-apgd"
    attack: Attack = APGD

    @property
    def n_passes(self) -> int:
        return self.attack.n_passes

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return what the attack takes for its best point on the raw logits, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no dummy classes.
        """
        return self.attack.perturb(with_dummies(classifier, self.name).raw, examples, threat_model, seed=seed)
