"""What a suite is: a frozen, versioned list of attacks with all their parameters.

An adaptive suite is another one with rules: what else runs on a model that declares a structure. Its digest covers all
rules, whatever model is evaluated; on a model without structure it is the suite that it extends. A suite is for
deterministic models or for stochastic ones, never for both: how a verdict is reached is a part of what it means.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bench.attacks import Ensemble, Transfer, parameters
from bench.attacks.adaptive import Report
from bench.core import digest
from bench.core.structure import Structure
from bench.core.types import Attack

__all__ = ["VERDICT_PASSES", "AttackSuite", "Rule", "with_engine"]

VERDICT_PASSES = 32
"""Passes that decide whether a stochastic model withstands a candidate; it is broken where half of them err."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a structure calls for.

    Args:
        structure: declared by the model; None for what every model gets beside what the suite extends.
        attacks: run beside the suite's own, and count as they do.
        reports: numbers that are shown and never count; frozen dataclasses with a name.
    """

    structure: Structure | None
    attacks: tuple[Attack, ...]
    reports: tuple[Report, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AttackSuite:
    """A list of attacks; epsilon is not part of it.

    Args:
        name: without the version ("standard").
        version: a published version never changes.
        attacks: in the order of the row's columns.
        summary: one line for listings; no part of the digest.
        extends: for an adaptive suite, the suite that all models get, with the same attacks.
        rules: what else a model gets for each structure that it declares.
        sources: of a suite with attacks that are not bench's, a digest of the files that they are in.
        stochastic: whether it is for models that draw random numbers.
        queries: most that its attacks together ask about an example, none of them for a gradient; None for no limit.
    """

    name: str
    version: int
    attacks: tuple[Attack, ...]
    summary: str = ""
    extends: AttackSuite | None = None
    rules: tuple[Rule, ...] = ()
    sources: str = ""
    stochastic: bool = False
    queries: int | None = None

    def __post_init__(self) -> None:
        if (self.extends is None) == bool(self.rules):
            raise ValueError(f"Expected `rules` and `extends` together, but got one of them for {self.label}.")

    @property
    def label(self) -> str:
        """Name and version: `standard-v1`."""
        return f"{self.name}-v{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 over the attacks' kinds and parameters; no engine, no class path, no name of the suite."""
        description = self.description
        attacks = description["attacks"]
        if self.sources:
            return digest.of_json({**description, "sources": self.sources})
        if self.stochastic:
            return digest.of_json([description["verdict"], attacks])
        return digest.of_json({"attacks": attacks, "rules": description["rules"]} if self.rules else attacks)

    @property
    def description(self) -> dict[str, Any]:
        """The suite as JSON values."""
        described = {"name": self.name, "version": self.version, "attacks": _described(self.attacks), **self._verdict}
        if not self.rules:
            return described
        rules = [
            {
                "structure": rule.structure,
                "attacks": _described(rule.attacks),
                "reports": _described(rule.reports, "report"),
            }
            for rule in self.rules
        ]
        return {**described, "rules": rules}

    @property
    def published(self) -> dict[str, Any]:
        """What `suite.json` pins: the digest, and name and parameters of every attack, as rows record them."""
        pinned = {"suite": self.label, "digest": self.digest, "attacks": _pinned(self.attacks), **self._verdict}
        if not self.rules:
            return pinned
        rules = [
            {"structure": rule.structure, "attacks": _pinned(rule.attacks), "reports": _pinned(rule.reports)}
            for rule in self.rules
        ]
        return {**pinned, "rules": rules}

    @property
    def _verdict(self) -> dict[str, Any]:
        return {"verdict": {"passes": VERDICT_PASSES, "broken_from": VERDICT_PASSES // 2}} if self.stochastic else {}

    @property
    def plain(self) -> AttackSuite:
        """What every model gets: the suite that this one extends, or this one. Its work is shared by journal."""
        return dataclasses.replace(self.extends, attacks=self.attacks) if self.extends is not None else self

    def rules_for(self, structures: Collection[Structure]) -> tuple[Rule, ...]:
        """The rules that a model with these structures calls for."""
        return tuple(rule for rule in self.rules if rule.structure is None or rule.structure in structures)

    def attacks_for(self, structures: Collection[Structure]) -> tuple[Attack, ...]:
        """All attacks on a model with these structures, in the order of the row's columns, without idle stages."""
        extra = (attack for rule in self.rules_for(structures) for attack in rule.attacks)
        every = (*self.attacks, *extra)
        return tuple(attack.on(structures) if isinstance(attack, Ensemble) else attack for attack in every)

    @property
    def most_surrogates(self) -> int:
        """How many other models it transfers from at most; 0 where it does not."""
        parts = (stage for attack in self.attacks for stage in attack.stages)
        return max((part.most_surrogates for part in parts if isinstance(part, Transfer)), default=0)

    @property
    def structures(self) -> frozenset[Structure]:
        """Those for which it has attacks."""
        stages = (stage for attack in self.attacks for stage in attack.stages)
        found = {rule.structure for rule in self.rules} | {stage.structure for stage in stages}
        return frozenset(structure for structure in found if structure is not None)


def with_engine(suite: AttackSuite, engine: str) -> AttackSuite:
    """The same suite with every stage that has a choice of engine set to `engine`."""
    return dataclasses.replace(suite, attacks=tuple(_attack_with_engine(attack, engine) for attack in suite.attacks))


def _attack_with_engine(attack: Any, engine: str) -> Any:
    if attack.engine is not None:
        return dataclasses.replace(attack, engine=engine)
    if isinstance(attack, Ensemble):
        return dataclasses.replace(attack, stages=tuple(_attack_with_engine(stage, engine) for stage in attack.stages))
    return attack


def _described(parts: Sequence[Attack | Report], kind: str = "attack") -> list[dict[str, Any]]:
    return [{kind: type(part).__name__, **parameters(part)} for part in parts]


def _pinned(parts: Sequence[Attack | Report]) -> list[dict[str, Any]]:
    return [{"name": part.name, "parameters": parameters(part)} for part in parts]
