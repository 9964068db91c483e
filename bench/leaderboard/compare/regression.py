"""Is a newer row of a model a step back? The same checkpoint must give the same result; a new one may not be worse."""

from __future__ import annotations

from typing import NamedTuple

from bench.leaderboard.compare.agreement import Cause, agree
from bench.leaderboard.compare.comparison import Comparison
from bench.row import Level, Record

__all__ = ["Change", "new_checkpoint", "same_checkpoint"]

# OUR CHOICE: the chance that an equally good new checkpoint is called a regression.
SIGNIFICANCE = 0.05


class Change(NamedTuple):
    """What a newer row says against an older one.

    Attributes:
        level: whether that is a finding.
        cause: what changed; None where rows answer different questions, or are of different checkpoints.
        evidence: one line.
    """

    level: Level
    cause: Cause | None
    evidence: str


def same_checkpoint(old: Record, new: Record) -> Change:
    """Judge two comparable rows of one checkpoint: better is as suspicious as worse."""
    if [each.name for each in old.result.attacks] != [each.name for each in new.result.attacks]:
        return Change(Level.FAIL, Cause.ATTACK, "the same checkpoint, but the suite now has other attacks for it")
    found = agree(old, new)
    if found.fine:
        level = Level.PASS if found.cause is Cause.NOTHING else Level.WARN
        return Change(level, found.cause, found.explanation)
    return Change(Level.FAIL, found.cause, f"the same checkpoint, but {found.explanation}")


def new_checkpoint(comparison: Comparison) -> Change:
    """Judge two comparable rows of different checkpoints: only a significant drop is a finding."""
    robust = comparison.columns[-1]
    before, after = robust.n_robust
    worse = len(robust.lost) > len(robust.gained) and robust.p < SIGNIFICANCE
    counts = f"{before} robust before, {after} now of {robust.n_examples} (p = {robust.p:.2g})"
    return Change(Level.FAIL if worse else Level.WARN, None, f"a new checkpoint: {counts}")
