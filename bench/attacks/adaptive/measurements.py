"""What a structure does on clean and attacked inputs: shares of examples, reported beside the verdicts.

Where dummy classes take the decision, and how often a router's predicted type follows the input, the attack, or an
attack on the router alone (`docs/adaptive.md` says what each share means).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.adaptive.pairs import with_dummies
from bench.attacks.adaptive.routes import ADVERSARIAL, CLEAN, log_types, with_router
from bench.attacks.pgd import PGD, PGD_20_STEP
from bench.attacks.search import differentiate, random_start
from bench.core.structure import Routed
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["DummyShare", "RouterBehaviour"]

PGD_20 = PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP)


@dataclass(frozen=True, kw_only=True)
class DummyShare:
    """How often a dummy class takes the decision.

    Args:
        name: how rows call it.
        attack: what makes adversarial inputs.
    """

    name: str = "dummy-share"
    attack: PGD = PGD_20

    def measure(
        self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
    ) -> dict[str, Tensor]:
        """Return bool `(N,)` for clean inputs, random noise in the ball, and adversarial inputs."""
        model = with_dummies(classifier, self.name)
        points = {
            "clean": examples.inputs,
            "noise": random_start(examples, threat_model, Stream(seed=seed, attack=self.name)),
            "adversarial": self.attack.perturb(classifier, examples, threat_model, seed=seed),
        }
        with torch.no_grad():
            raw = {name: model.raw(inputs) for name, inputs in points.items()}
        return {name: logits.argmax(dim=1) >= logits.shape[1] // 2 for name, logits in raw.items()}


@dataclass(frozen=True, kw_only=True)
class RouterBehaviour:
    """What the router's predicted type follows.

    Args:
        name: how rows call it.
        attack: what makes adversarial inputs, end to end, and turns the predicted type of clean ones.
    """

    name: str = "router"
    attack: PGD = PGD_20

    def measure(
        self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
    ) -> dict[str, Tensor]:
        """Return bool `(N,)` for each share."""
        model = with_router(classifier, self.name)

        def types_at(inputs: Tensor) -> Tensor:
            return log_types(model.route(inputs), inputs)

        with torch.no_grad():
            clean = types_at(examples.inputs).argmax(dim=1)
        typed = Examples(inputs=examples.inputs, labels=clean, indices=examples.indices)
        adversarial = self.attack.perturb(classifier, examples, threat_model, seed=seed)
        turned = self.attack.perturb(types_at, typed, threat_model, seed=seed)
        with torch.no_grad():
            attacked, steered = types_at(adversarial).argmax(dim=1), types_at(turned).argmax(dim=1)
            still_correct = classifier(turned).argmax(dim=1) == examples.labels
        return {
            "clean_called_clean": clean == CLEAN,
            "adversarial_called_adversarial": attacked == ADVERSARIAL,
            "flipped_by_attack": attacked != clean,
            "flipped_by_steering": steered != clean,
            "correct_when_steered": still_correct,
            "with_gradient": _has_gradient(model, typed),
        }


def _has_gradient(model: Routed, typed: Examples) -> Tensor:
    """Whether the predicted type moves with the input at all; a router cut out of the graph does not."""
    seen = differentiate(
        lambda inputs: log_types(model.route(inputs), inputs),
        typed.inputs,
        lambda types: losses.margin(types, typed.labels),
    )
    return (seen.gradient != 0).flatten(1).any(dim=1)
