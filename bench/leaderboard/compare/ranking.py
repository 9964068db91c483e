"""Ranks that chance does not decide: a model stands behind those alone that are significantly better.

Pairs are tested by McNemar's exact test on shared examples, all pairs together by Holm's step-down procedure (Holm
1979, Scandinavian Journal of Statistics 6, 65-70), which bounds the chance of any wrong order in the table at 5 %.
"Significantly better" is not transitive (A may beat C while B ties with both), so there are ranges and no ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from bench.core.statistics import holm, mcnemar

__all__ = ["LEVEL", "Rank", "rank"]

LEVEL = 0.05


class Rank(NamedTuple):
    """Where a model stands: from 1 + the number of significantly better ones to the last place that it may hold."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}\N{EN DASH}{self.worst}"


def rank(verdicts: Sequence[Sequence[bool]], level: float = LEVEL) -> tuple[Rank, ...]:
    """Rank models by their verdicts on the same examples.

    Args:
        verdicts: for each model, whether each example is robust; all equally long.
        level: bound on the chance of any wrong order.

    Raises:
        ValueError: if the models have not the same number of examples.
    """
    if len({len(row) for row in verdicts}) > 1:
        raise ValueError(f"Expected as many `verdicts` of every model, but got {sorted({len(r) for r in verdicts})}.")
    pairs = list(combinations(range(len(verdicts)), 2))
    only = [_only_one(verdicts[first], verdicts[second]) for first, second in pairs]
    better, worse = [0] * len(verdicts), [0] * len(verdicts)
    decided = holm([mcnemar(ahead, behind) for ahead, behind in only], level)
    for (first, second), (ahead, behind), clear in zip(pairs, only, decided, strict=True):
        if clear:
            winner, loser = (first, second) if ahead > behind else (second, first)
            worse[winner] += 1
            better[loser] += 1
    return tuple(Rank(1 + above, len(verdicts) - below) for above, below in zip(better, worse, strict=True))


def _only_one(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int]:
    """How many examples only the first model withstands, and how many only the second."""
    flips = [(one, other) for one, other in zip(first, second, strict=True) if one != other]
    return sum(one for one, _ in flips), sum(other for _, other in flips)
