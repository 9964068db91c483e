"""Constraint relaxation on what a model declares of its structure: dummy classes, a router.

The search is that of `constraint-relaxation`; what is climbed are the losses of this package's other attacks, and the
model's own logits decide. On dummy classes each wrong class and its dummy are targets of their own, since the maximum
of the two follows only the present winner. On a router each weight of the push takes the place of a target. Which
losses there are is OUR CHOICE, and that a run's distance, by which it is given up, is that of the whole loss, push
included.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from bench.attacks.adaptive.joint import TEMPERATURE, raw_targets
from bench.attacks.adaptive.pairs import PairView, smooth_margin, targeted_joint_margin, with_dummies
from bench.attacks.adaptive.routes import SteerableView, with_router
from bench.attacks.adaptive.steered_route import WEIGHTS, steering
from bench.attacks.constraint_relaxation import ConstraintRelaxation, Relaxation
from bench.attacks.search import untargeted
from bench.core.structure import Structure
from bench.core.types import Classifier, Examples, Finish, ThreatModel
from bench.ops import losses

__all__ = ["RelaxedPairs", "RelaxedSteering"]


@dataclass(frozen=True, kw_only=True)
class _OnStructure(ConstraintRelaxation):
    """Searches in float32 on the model itself, which is asked for more than logits."""

    @property
    def logits_only(self) -> bool:
        return False

    @property
    def finish(self) -> Finish | None:
        return None


@dataclass(frozen=True, kw_only=True)
class RelaxedPairs(_OnStructure):
    """Relaxed runs on the joint margin of dummy classes; arguments as for `ConstraintRelaxation`.

    Args:
        name: how rows call it.
        targets: how many raw targets: the strongest wrong classes, each followed by its dummy; at most 2 (K - 1).
        temperature: of the weights, in units of the recovered margin.
    """

    name: str = "relaxed-pairs"
    targets: int = 18
    give_up_outside: Fraction = Fraction(1, 2)
    temperature: float = TEMPERATURE

    @property
    def structure(self) -> Structure | None:
        return "raw-pairs"

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return a broken point or that of smallest recovered margin, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no dummy classes.
        """
        view = PairView(classifier=with_dummies(classifier, self.name))
        if not len(examples):
            return examples.inputs
        relaxation = Relaxation.of(self, view, examples, threat_model, seed=seed)
        raw = relaxation.ascend(untargeted(smooth_margin))
        loss = functools.partial(targeted_joint_margin, temperature=self.temperature)
        relaxation.relax(loss, raw_targets(raw, examples.labels, self.targets))
        return relaxation.points


@dataclass(frozen=True, kw_only=True)
class RelaxedSteering(_OnStructure):
    """Relaxed runs on the margin plus a push of the route, one for each weight; arguments as for its base.

    Args:
        name: how rows call it.
        weights: of the push; above 0 towards clean, below 0 towards adversarial.
    """

    name: str = "relaxed-steering"
    weights: tuple[Fraction, ...] = (*WEIGHTS, *(-weight for weight in WEIGHTS))

    @property
    def structure(self) -> Structure | None:
        return "routes"

    @property
    def n_passes(self) -> int:
        return 2 * (self.first_steps + 2 * self.outside_steps * len(self.weights))

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return a broken point or that of smallest margin, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no router.
        """
        view = SteerableView(classifier=with_router(classifier, self.name))
        if not len(examples):
            return examples.inputs
        relaxation = Relaxation.of(self, view, examples, threat_model, seed=seed)
        relaxation.ascend(untargeted(lambda outputs, labels: losses.negative_margin(view.decided(outputs), labels)))
        weights = examples.inputs.new_tensor([float(weight) for weight in self.weights]).expand(len(examples), -1)
        relaxation.relax(steering, weights)
        return relaxation.points
