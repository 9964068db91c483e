"""The four stages of AutoAttack as attacks, each with its standard parameters and a choice of engine.

Croce and Hein 2020: "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks"
(arXiv 2003.01690; APGD), "Minimally distorted adversarial examples with a fast adaptive boundary attack" (arXiv
1907.02044; FAB), and Andriushchenko et al. 2020: "Square attack" (arXiv 1912.00049).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from torch import Tensor

from bench.attacks.attack import UNRECORDED, Finish, SingleAttack
from bench.attacks.autoattack import reference
from bench.core.types import Classifier, Examples, ThreatModel

__all__ = ["ApgdCe", "ApgdT", "Engine", "FabT", "Square"]

Engine = Literal["reference", "fast"]


@dataclass(frozen=True, kw_only=True)
class _Stage(SingleAttack):
    """What the stages share.

    Args:
        engine: `reference`, the authors' package, or `fast`, our own implementation.
    """

    engine: Engine = field(default="reference", metadata=UNRECORDED)

    _finish: ClassVar[Finish] = "margin"

    def __post_init__(self) -> None:
        if self.engine not in get_args(Engine):
            raise ValueError(f"Expected `engine` to be one of {', '.join(get_args(Engine))}, but got {self.engine!r}.")

    @property
    def per_chunk(self) -> bool:
        """Whether draws depend on the batch, so that batches have to be the fixed chunks."""
        return self.engine == "reference"

    @property
    def logits_only(self) -> bool:
        """Our own engine takes any form of the model; the package gets the model itself."""
        return self.engine == "fast"

    @property
    def finish(self) -> Finish | None:
        """After a search of our own engine in lower precision, survivors get float32 steps on this loss."""
        return self._finish if self.engine == "fast" else None


@dataclass(frozen=True, kw_only=True)
class ApgdCe(_Stage):
    """APGD on the cross-entropy.

    Args:
        name: how rows call it.
        steps: number of steps.
        restarts: number of random starts.
        rho: share of improving steps below which the step size is halved.
    """

    _finish: ClassVar[Finish] = "cross-entropy"  # OUR CHOICE: margins here would hide how far the two losses differ

    name: str = "apgd-ce"
    steps: int = 100
    restarts: int = 1
    rho: float = 0.75

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point found `(N, C, H, W)`."""
        if self.engine == "fast":
            from bench.attacks.autoattack import fast  # imported where it is used: it knows these stages

            return fast.apgd(classifier, examples, threat_model, stage=self, seed=seed)
        return reference.apgd_ce(self, classifier, examples, threat_model, seed=seed)


@dataclass(frozen=True, kw_only=True)
class ApgdT(_Stage):
    """APGD on the targeted DLR loss, one run for each of the most likely wrong classes.

    Args:
        name: how rows call it.
        steps: number of steps for each target.
        restarts: number of random starts for each target.
        targets: how many targets; at most the number of wrong classes.
        rho: share of improving steps below which the step size is halved.
    """

    name: str = "apgd-t"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    rho: float = 0.75

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point found `(N, C, H, W)`."""
        if self.engine == "fast":
            from bench.attacks.autoattack import fast  # imported where it is used: it knows these stages

            return fast.apgd(classifier, examples, threat_model, stage=self, seed=seed)
        return reference.apgd_t(self, classifier, examples, threat_model, seed=seed)


@dataclass(frozen=True, kw_only=True)
class FabT(_Stage):
    """Targeted FAB: steps to the linearised decision boundary of each target, biased towards the input.

    Args:
        name: how rows call it.
        steps: number of steps for each target.
        restarts: number of starts for each target.
        targets: how many targets; at most the number of wrong classes.
        alpha_max: largest weight of the step from the original point.
        eta: overshoot over the boundary.
        beta: backward step after a success.
    """

    passes_per_step: ClassVar[int] = 3
    """Two forwards and one back."""

    name: str = "fab-t"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point found `(N, C, H, W)`."""
        if self.engine == "fast":
            from bench.attacks.autoattack import fast  # imported where it is used: it knows these stages

            return fast.fab(classifier, examples, threat_model, stage=self, seed=seed)
        return reference.fab_t(self, classifier, examples, threat_model, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Square(_Stage):
    """Random search with square-shaped updates; no gradients.

    Args:
        name: how rows call it.
        queries: forward passes per example.
        restarts: number of runs.
        initial_share: share of pixels that a square covers at the start.
    """

    name: str = "square"
    queries: int = 5_000
    restarts: int = 1
    initial_share: float = 0.8

    @property
    def needs_gradients(self) -> bool:
        """It asks for logits alone."""
        return False

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point found `(N, C, H, W)`."""
        if self.engine == "fast":
            from bench.attacks.autoattack import fast  # imported where it is used: it knows these stages

            return fast.square(classifier, examples, threat_model, stage=self, seed=seed)
        return reference.square(self, classifier, examples, threat_model, seed=seed)
