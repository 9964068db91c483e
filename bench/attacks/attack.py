"""What all attacks of one piece share, and how any attack's parameters are recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal

from bench.core.types import Attack, Norm

__all__ = ["UNRECORDED", "Finish", "SingleAttack", "StepSize", "parameters"]

UNRECORDED = {"recorded": False}
"""Metadata of a field that changes how an attack is computed, not what it is."""

Finish = Literal["cross-entropy", "margin", "nothing"]
"""What float32 steps climb after a search in lower precision; nothing where an attack is defined by its steps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSize:
    """A step size relative to epsilon, exact, for each norm.

    Args:
        linf: length of a step as a fraction of epsilon, in Linf.
        l2: the same, in L2.
    """

    linf: Fraction
    l2: Fraction

    def of(self, norm: Norm) -> Fraction:
        """The relative step size for `norm`."""
        return self.linf if norm is Norm.LINF else self.l2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleAttack:
    """Base of attacks in one piece, for Linf and L2."""

    norms: ClassVar[frozenset[Norm]] = frozenset(Norm)

    @property
    def stages(self) -> Sequence[Attack]:
        """An attack in one piece is its own only stage."""
        return (self,)  # type: ignore[return-value]  # subclasses add `name` and `perturb`

    @property
    def needs_gradients(self) -> bool:
        """Whether it cannot run on a model through which no gradient flows."""
        return True

    @property
    def logits_only(self) -> bool:
        """Whether it asks for logits and their gradients alone, so that a faster form of the model may answer."""
        return False

    @property
    def finish(self) -> Finish | None:
        """What float32 steps climb after a search in lower precision; None where it always searches in float32."""
        return None


def parameters(attack: object) -> dict[str, Any]:
    """The recorded fields of an attack as JSON values: fractions as text, nested stages as objects.

    >>> parameters(StepSize(linf=Fraction(1, 4), l2=Fraction(15, 128)))
    {'linf': '1/4', 'l2': '15/128'}
    """
    if not dataclasses.is_dataclass(attack) or isinstance(attack, type):
        raise TypeError(f"Expected `attack` to be a dataclass, but got {attack!r}.")
    recorded = [field for field in dataclasses.fields(attack) if field.metadata.get("recorded", True)]
    return {field.name: _as_json(getattr(attack, field.name)) for field in recorded}


def _as_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return parameters(value) if dataclasses.is_dataclass(value) else value
