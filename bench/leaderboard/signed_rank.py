"""Wilcoxon's signed-rank test for pairs (Wilcoxon 1945, Biometrics Bulletin 1, 80-83), in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["signed_rank"]

# OUR CHOICE: below so many pairs the distribution is counted out; above, it is as good as normal.
_EXACT = 30


def signed_rank(differences: Sequence[float]) -> float:
    """Two-sided probability of differences this one-sided, were each as likely positive as negative.

    Zeros say nothing and are left out; equal sizes share their mean rank; infinite ones are the largest.

    >>> signed_rank([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625

    Args:
        differences: one for each pair; no NaN.
    """
    kept = [value for value in differences if value]
    if not kept:
        return 1.0
    doubled = _doubled_ranks([abs(value) for value in kept])
    total = sum(doubled)
    positive = sum(rank for rank, value in zip(doubled, kept, strict=True) if value > 0)
    smaller = min(positive, total - positive)
    tail = _exact(doubled, smaller) if len(kept) <= _EXACT else _normal(doubled, smaller)
    return min(1.0, 2 * tail)


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each size, so that the mean rank of equal ones is a whole number."""
    order = sorted(range(len(sizes)), key=lambda position: sizes[position])
    ranks = [0] * len(sizes)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and sizes[order[stop]] == sizes[order[start]]:
            stop += 1
        for position in order[start:stop]:
            ranks[position] = start + 1 + stop
        start = stop
    return ranks


def _exact(doubled: Sequence[int], at_most: int) -> float:
    """The chance of a rank sum up to `at_most`, over all ways to give the ranks signs."""
    ways = [1] + [0] * sum(doubled)
    for rank in doubled:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return sum(ways[: at_most + 1]) / float(2 ** len(doubled))


def _normal(doubled: Sequence[int], at_most: int) -> float:
    """The same by the normal distribution; half a rank is added for continuity."""
    mean = sum(doubled) / 4
    spread = math.sqrt(sum((rank / 2) ** 2 for rank in doubled) / 4)
    return 0.5 * math.erfc((mean - at_most / 2 - 0.5) / (spread * math.sqrt(2)))
