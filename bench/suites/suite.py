"""What a suite is: a frozen, versioned list of attacks with all their parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from bench.attacks import parameters
from bench.core import digest
from bench.core.types import Attack

__all__ = ["AttackSuite", "with_engine"]


@dataclass(frozen=True, kw_only=True)
class AttackSuite:
    """A list of attacks; epsilon is not part of it.

    Args:
        name: without the version ("standard").
        version: a published version never changes.
        attacks: in the order of the row's columns.
        summary: one line for listings; no part of the digest.
    """

    name: str
    version: int
    attacks: tuple[Attack, ...]
    summary: str = ""

    @property
    def label(self) -> str:
        """Name and version: `standard-v1`."""
        return f"{self.name}-v{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 over the attacks' kinds and parameters; no engine, no class path, no name of the suite."""
        return digest.of_json(self.description["attacks"])

    @property
    def description(self) -> dict[str, Any]:
        """The suite as JSON values: what `suite.json` pins."""
        return {
            "name": self.name,
            "version": self.version,
            "attacks": [{"attack": type(attack).__name__, **parameters(attack)} for attack in self.attacks],
        }


def with_engine(suite: AttackSuite, engine: str) -> AttackSuite:
    """The same suite with every stage that has a choice of engine set to `engine`."""
    return dataclasses.replace(suite, attacks=tuple(_attack_with_engine(attack, engine) for attack in suite.attacks))


def _attack_with_engine(attack: Any, engine: str) -> Any:
    fields = {field.name for field in dataclasses.fields(attack)}
    if "engine" in fields:
        return dataclasses.replace(attack, engine=engine)
    if "stages" in fields:
        return dataclasses.replace(attack, stages=tuple(_attack_with_engine(stage, engine) for stage in attack.stages))
    return attack
