"""Carlini and Wagner's minimum-norm L2 attack, through foolbox.

Carlini and Wagner 2017 (arXiv 1608.04644), section VI.A: `||delta||^2 + c max(z_y - max_{k != y} z_k, -kappa)` in tanh
space, with a binary search over c. The search looks for the smallest perturbation whatever epsilon is; the harness
then asks whether what it found lies in the ball.

Differences: foolbox's implementation as it is; its number of steps and binary-search steps are parameters.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.attack import SingleAttack
from bench.attacks.isolation import IsolatedClassifier
from bench.core.types import Classifier, Examples, Norm, ThreatModel

__all__ = ["CarliniWagnerL2"]


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2(SingleAttack):
    """The minimum-norm attack.

    Args:
        name: how rows call it.
        steps: steps of Adam for each constant.
        binary_search_steps: constants that are tried.
        step_size: learning rate of Adam.
        confidence: margin that a break has to reach.
    """

    @property
    def norms(self) -> frozenset[Norm]:
        return frozenset({Norm.L2})

    name: str = "carlini-wagner-l2"
    steps: int = 1_000
    binary_search_steps: int = 9
    step_size: float = 0.01
    confidence: float = 0.0

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.binary_search_steps

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the smallest perturbed input found for each example, the input itself where none was."""
        if not len(examples):
            return examples.inputs
        # Imported here: foolbox takes a second to import, and no other attack needs it.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)  # it imports a name that SciPy moved
            from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
            from foolbox.models.pytorch import PyTorchModel

        search = L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
        )
        model = PyTorchModel(IsolatedClassifier(classifier), bounds=(0, 1), device=examples.inputs.device)
        found, _, success = search(model, examples.inputs, examples.labels, epsilons=None)
        kept = success.reshape(-1, 1, 1, 1)
        return torch.where(kept, found, examples.inputs).detach()


ENTRY = CarliniWagnerL2()
