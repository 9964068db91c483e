"""What attacks share: what they answer the harness unless they say otherwise, and how their parameters are recorded."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from bench.core.structure import Structure
from bench.core.types import (
    Attack,
    AuditRules,
    CascadeRules,
    Classifier,
    Engine,
    Examples,
    Finish,
    Norm,
    ThreatModel,
)
from bench.ops import losses, norms

__all__ = ["UNRECORDED", "Ensemble", "SingleAttack", "StepSize", "parameters", "recorded_as"]

UNRECORDED = {"recorded_as": None}
"""Metadata of a field that changes how an attack is computed, not what it is."""


def recorded_as(name: str) -> dict[str, str]:
    """Metadata of a field that rows and digests know by another name."""
    return {"recorded_as": name}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSize:
    """A step size relative to epsilon, exact, for each norm.

    Args:
        linf: length of a step as a fraction of epsilon, in Linf.
        l2: the same, in L2 and, OUR CHOICE, in L1.
    """

    linf: Fraction
    l2: Fraction

    def of(self, norm: Norm) -> Fraction:
        """The relative step size for `norm`."""
        return self.linf if norm is Norm.LINF else self.l2


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """What an attack answers the harness unless it says otherwise (`bench.core.types.Attack` has the questions)."""

    @property
    def norms(self) -> frozenset[Norm]:
        return frozenset({Norm.LINF, Norm.L2})

    @property
    def needs_gradients(self) -> bool:
        return True

    @property
    def logits_only(self) -> bool:
        return False

    @property
    def per_chunk(self) -> bool:
        return False

    @property
    def leaves_when_broken(self) -> bool:
        return False

    @property
    def engine(self) -> Engine | None:
        return None

    @property
    def finish(self) -> Finish | None:
        return None

    @property
    def structure(self) -> Structure | None:
        return None

    @property
    def cascade_rules(self) -> CascadeRules | AuditRules | None:
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleAttack(_Answers):
    """Base of attacks in one piece, for Linf and L2 unless they say otherwise."""

    @property
    def stages(self) -> Sequence[Attack]:
        """An attack in one piece is its own only stage."""
        return (self,)  # type: ignore[return-value]  # subclasses add `name` and `perturb`

    @property
    def n_passes(self) -> int:
        """One gradient: attacks that take more say so."""
        return 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble(_Answers):
    """Stages in order; the harness runs each on the examples that those before it left robust.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    name: str
    stages: tuple[Attack, ...]

    @property
    def norms(self) -> frozenset[Norm]:
        """Those that all stages know."""
        return frozenset(Norm).intersection(*(stage.norms for stage in self.stages))

    @property
    def n_passes(self) -> int:
        """Of all stages together."""
        return sum(stage.n_passes for stage in self.stages)

    def on(self, structures: Collection[Structure]) -> Ensemble:
        """Without the stages for structures that a model does not declare; as it is where none would be left."""
        kept = [stage.structure is None or stage.structure in structures for stage in self.stages]
        if all(kept) or not any(kept):
            return self
        changes: dict[str, Any] = {"stages": tuple(itertools.compress(self.stages, kept))}
        if self.cascade_rules is not None:
            n_on_all = sum(kept[: self.cascade_rules.n_on_all])
            changes["cascade_rules"] = dataclasses.replace(self.cascade_rules, n_on_all=n_on_all)
        return dataclasses.replace(self, **changes)

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Run all stages at once, for use outside the harness: the point of the first stage that breaks an example."""
        found = examples.inputs.clone()
        left = torch.arange(len(examples), device=found.device)
        for stage in self.stages:
            part = examples[left]
            moved = stage.perturb(classifier, part, threat_model, seed=seed)
            found[left] = moved
            left = left[_robust(classifier, moved, part, threat_model)]
        return found


def parameters(attack: object) -> dict[str, Any]:
    """The recorded fields of an attack as JSON values: fractions as text, nested stages as objects.

    >>> parameters(StepSize(linf=Fraction(1, 4), l2=Fraction(15, 128)))
    {'linf': '1/4', 'l2': '15/128'}
    """
    if not dataclasses.is_dataclass(attack) or isinstance(attack, type):
        raise TypeError(f"Expected `attack` to be a dataclass, but got {attack!r}.")
    names = {field.name: field.metadata.get("recorded_as", field.name) for field in dataclasses.fields(attack)}
    return {recorded: _as_json(getattr(attack, name)) for name, recorded in names.items() if recorded is not None}


def _as_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return parameters(value) if dataclasses.is_dataclass(value) else value


def _robust(classifier: Classifier, moved: Tensor, examples: Examples, threat_model: ThreatModel) -> Tensor:
    if not len(examples):
        return torch.zeros(0, dtype=torch.bool, device=moved.device)
    with torch.no_grad():
        right = losses.margin(classifier(moved), examples.labels) >= 0
    length = norms.size(moved - examples.inputs, threat_model.norm)
    return right | (length > float(threat_model.epsilon) * (1 + 1e-5))
