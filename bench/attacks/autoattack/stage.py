"""What the four stages of AutoAttack share: the authors' package runs them, or our own engine.

Our own engine is written for throughput, and knows nothing of models: a classifier is a callable on inputs in [0, 1].
What makes a network fast (folded batch norm, memory format, frozen weights) is done to it before it comes here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, get_args

from torch import Tensor

from bench.attacks.attack import UNRECORDED, SingleAttack
from bench.attacks.autoattack.reference import InPackage
from bench.core.types import Classifier, Engine, Examples, Finish, Norm, ThreatModel

__all__ = ["AutoAttackStage"]


@dataclass(frozen=True, kw_only=True)
class AutoAttackStage(SingleAttack, ABC):
    """A stage with a choice of engine.

    Args:
        engine: `reference`, the authors' package, or `fast`, our own implementation.
    """

    engine: Engine = field(default="reference", metadata=UNRECORDED)

    _finish: ClassVar[Finish] = "margin"

    def __post_init__(self) -> None:
        if self.engine not in get_args(Engine):
            raise ValueError(f"Expected `engine` to be one of {', '.join(get_args(Engine))}, but got {self.engine!r}.")

    @property
    def norms(self) -> frozenset[Norm]:
        """L1 is the package's alone."""
        return frozenset(Norm) if self.engine == "reference" else frozenset({Norm.LINF, Norm.L2})

    @property
    def per_chunk(self) -> bool:
        """The package draws for a whole batch."""
        return self.engine == "reference"

    @property
    def leaves_when_broken(self) -> bool:
        """Our own engine drops an example, the package does not."""
        return self.engine == "fast"

    @property
    def logits_only(self) -> bool:
        """Our own engine takes any form of the model; the package gets the model itself."""
        return self.engine == "fast"

    @property
    def finish(self) -> Finish | None:
        """After a search of our own engine in lower precision, survivors get float32 steps on this loss."""
        return self._finish if self.engine == "fast" else None

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the best point found `(N, C, H, W)`."""
        if not len(examples):
            return examples.inputs
        run = self._search if self.engine == "fast" else self._in_package.run
        return run(classifier, examples, threat_model, seed=seed)

    @abstractmethod
    def _search(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Our own implementation, on at least one example."""

    @property
    @abstractmethod
    def _in_package(self) -> InPackage:
        """The same in the authors' package."""
