"""What is done to every chunk, and what became of the examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.core.types import Attack
from bench.evaluation.journal.journal import Entry

__all__ = ["CLEAN", "Stage", "Verdicts", "joined", "merged"]


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
    def per_chunk(self) -> bool:
        """Whether the attack's draws depend on its batch, so that chunks must not share one."""
        return bool(getattr(self.attack, "per_chunk", False))


CLEAN = Stage(key="clean", attack=None)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A stage's entries put together; one item per example of the run, as in `Entry`."""

    robust: tuple[bool, ...]
    margin: tuple[float, ...]
    finite: tuple[bool, ...]
    moved: int
    seconds: float
    forwards: int
    backwards: int
    batch_size: int
    n_claimed: int
    n_refused: int

    def sparing(self, spared: Sequence[bool]) -> Verdicts:
        """The same verdicts, with examples that the stage was spared counted as robust to it."""
        return replace(self, robust=tuple(held or left for held, left in zip(self.robust, spared, strict=True)))


def joined(entries: Sequence[Entry]) -> Verdicts:
    """The entries of all chunks of a run, in their order, in one."""
    return Verdicts(
        robust=tuple(verdict for entry in entries for verdict in entry.robust),
        margin=tuple(value for entry in entries for value in entry.margin),
        finite=tuple(verdict for entry in entries for verdict in entry.finite),
        moved=sum(entry.moved for entry in entries),
        seconds=sum(entry.seconds for entry in entries),
        forwards=sum(entry.forwards for entry in entries),
        backwards=sum(entry.backwards for entry in entries),
        batch_size=min(entry.batch_size for entry in entries),
        n_claimed=sum(entry.n_claimed for entry in entries),
        n_refused=sum(entry.n_refused for entry in entries),
    )


def merged(first: Verdicts, second: Verdicts) -> Verdicts:
    """One stage's verdicts on two sets of examples that have none in common, in one."""
    return Verdicts(
        robust=tuple(map(any, zip(first.robust, second.robust, strict=True))),
        margin=tuple(map(min, first.margin, second.margin)),
        finite=tuple(map(all, zip(first.finite, second.finite, strict=True))),
        moved=first.moved + second.moved,
        seconds=first.seconds + second.seconds,
        forwards=first.forwards + second.forwards,
        backwards=first.backwards + second.backwards,
        batch_size=min(first.batch_size, second.batch_size),
        n_claimed=first.n_claimed + second.n_claimed,
        n_refused=first.n_refused + second.n_refused,
    )
