"""Ranks that chance does not decide: a model stands behind those alone that are significantly better.

Pairs are tested by McNemar's exact test on shared examples, all pairs together by Holm's step-down procedure (Holm
1979, Scandinavian Journal of Statistics 6, 65-70), which bounds the chance of any wrong order in the table at 5 %.
"Significantly better" is not transitive (A may beat C while B ties with both), so there are ranges and no ladder.

Of an audited row some examples that count as robust may not be. The better of a pair has to stay so even if they were
not (OUR CHOICE: as many as the audit leaves possible at 95 %, the other one robust on all of them that it can be).
"""

from __future__ import annotations

from collections.abc import Sequence
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


def rank(
    verdicts: Sequence[Sequence[bool]], level: float = LEVEL, *, undecided: Sequence[int] | None = None
) -> tuple[Rank, ...]:
    """Rank models by their verdicts on the same examples.

    Args:
        verdicts: for each model, whether each example is robust; all equally long.
        undecided: for each model, how many of its robust examples may not be; None for none.
        level: bound on the chance of any wrong order.

    Raises:
        ValueError: if the models have not the same number of examples.
    """
    if len({len(row) for row in verdicts}) > 1:
        raise ValueError(f"Expected as many `verdicts` of every model, but got {sorted({len(r) for r in verdicts})}.")
    import numpy as np

    count = len(verdicts)
    if count < 2:
        return (Rank(1, 1),) * count
    robust = np.array(verdicts, dtype=np.float32)  # counts below 2^24 are exact
    # (first, second): how many examples only the first model withstands.
    shared = robust @ robust.T
    only = (robust.sum(axis=1, keepdims=True) - shared).astype(np.int64)
    first, second = np.triu_indices(count, k=1)
    leads = only[first, second] > only[second, first]
    winners, losers = np.where(leads, first, second), np.where(leads, second, first)
    # At worst the undecided ones are among those that both withstand: then one more is the loser's alone.
    doubtful = np.array(undecided or [0] * count)[winners]
    passed_over = np.minimum(doubtful, shared[winners, losers].astype(np.int64))
    behind = only[losers, winners] + passed_over
    ahead = np.maximum(only[winners, losers] - (doubtful - passed_over), behind)
    # Many pairs have the same two counts, which are tested once.
    base = robust.shape[1] + 1
    counts, places = np.unique(behind * base + ahead, return_inverse=True)
    p_values = np.array([mcnemar(*divmod(int(each), base)) for each in counts])
    clear = np.asarray(holm(p_values[places].tolist(), level), dtype=np.bool_)
    better, worse = (np.bincount(side[clear], minlength=count) for side in (losers, winners))
    return tuple(Rank(1 + int(above), count - int(below)) for above, below in zip(better, worse, strict=True))
