"""When a count of bad examples is more than chance: exact one-sided tests on a hundred examples or so."""

from __future__ import annotations

from math import comb

__all__ = ["LEAST", "LEVEL", "binomial_tail", "is_significant", "sign_tail"]

# OUR CHOICE: on 128 to 512 examples a fraction of a point is one or two examples, which prove nothing.
LEAST = 3
LEVEL = 0.01


def binomial_tail(count: int, total: int, rate: float) -> float:
    """Chance of at least `count` of `total` where each comes up with probability `rate`.

    >>> binomial_tail(2, 2, 0.5)
    0.25

    Args:
        count: 0 to `total`.
        total: at least 0.
        rate: in [0, 1].
    """
    return sum(comb(total, k) * rate**k * (1 - rate) ** (total - k) for k in range(count, total + 1))


def sign_tail(more: int, less: int) -> float:
    """Chance that at least `more` of the pairs that differ point this way where both ways are alike (McNemar, exact).

    >>> sign_tail(3, 0)
    0.125
    """
    return binomial_tail(more, more + less, 0.5)


def is_significant(count: int, chance: float) -> bool:
    """Whether so many examples, with so small a chance, are a finding."""
    return count >= LEAST and chance < LEVEL
