"""What is reported beside the verdicts of a structured model and never counts: the types, and what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.attacks.adaptive.views import ViewName
from bench.core.types import Attack, Classifier, Examples, ThreatModel

__all__ = ["Measurement", "Report", "ReportedAttack"]


@dataclass(frozen=True, kw_only=True)
class ReportedAttack:
    """Verdicts of an attack on a view of the model, judged by that view.

    Args:
        name: how rows call it.
        view: what is attacked and judged.
        attack: the attack.
    """

    name: str
    view: ViewName
    attack: Attack


class Measurement(Protocol):
    """Shares of examples, by name; a frozen dataclass, its fields are its parameters."""

    @property
    def name(self) -> str: ...

    def measure(
        self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
    ) -> dict[str, Tensor]:
        """Return one bool per example, `(N,)`, for each share."""
        ...


Report = ReportedAttack | Measurement
