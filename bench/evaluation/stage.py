"""What is done to every chunk."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.types import Attack

__all__ = ["CLEAN", "Stage"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is done to every chunk.

    Args:
        key: names its folder in the journal.
        attack: what searches; None judges the clean inputs.
    """

    key: str
    attack: Attack | None

    @classmethod
    def of(cls, attack: Attack, part: Attack, *, suffix: str = "") -> Stage:
        """The stage `part` of `attack`; the suffix keeps a second pass apart from the first."""
        single = len(attack.stages) == 1
        return cls(
            key=".".join(word for word in (attack.name, "" if single else part.name, suffix) if word), attack=part
        )

    @property
    def name(self) -> str:
        """As the attack calls it."""
        return self.attack.name if self.attack is not None else self.key

    @property
    def per_chunk(self) -> bool:
        """Whether the attack's draws depend on its batch, so that chunks must not share one."""
        return self.attack is not None and self.attack.per_chunk


CLEAN = Stage(key="clean", attack=None)
