"""How far two samples lie apart: two-sample Kolmogorov-Smirnov and Wasserstein-1, with what chance would give.

Kolmogorov 1933, Smirnov 1948: the largest difference of the two empirical distribution functions. Wasserstein-1: the
area between them. OUR CHOICE: both samples are measured in units of their pooled standard deviation first, so that
layers can be compared; that changes Wasserstein-1 alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Separation", "ks", "separation", "wasserstein"]

PERMUTATIONS = 999

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Separation:
    """How far two samples lie apart.

    Args:
        ks: in [0, 1].
        wasserstein: in pooled standard deviations.
        by_chance: the 95 % quantile of `ks` over random divisions of both samples together.
        p_value: share of random divisions, the actual one included, that are at least as far apart in `ks`.
    """

    ks: float
    wasserstein: float
    by_chance: float
    p_value: float


def ks(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic of `(N,)` and `(M,)`.

    >>> ks([0.0, 1.0], [2.0, 3.0]), ks([0.0, 1.0], [0.0, 1.0])
    (1.0, 0.0)
    """
    steps, _ = _difference(np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64)))
    return float(np.abs(steps).max())


def wasserstein(first: ArrayLike, second: ArrayLike) -> float:
    """Wasserstein-1 distance of `(N,)` and `(M,)`.

    >>> wasserstein([0.0, 1.0], [2.0, 3.0])
    2.0
    """
    steps, values = _difference(np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64)))
    return float((np.abs(steps[:-1]) * np.diff(values)).sum())


def separation(first: ArrayLike, second: ArrayLike, *, seed: int, permutations: int = PERMUTATIONS) -> Separation:
    """Measure two samples of at least one number each.

    Args:
        first: `(N,)`.
        second: `(M,)`.
        seed: of the random divisions.
        permutations: how many of them.
    """
    left, right = np.asarray(first, np.float64), np.asarray(second, np.float64)
    pooled = np.concatenate((left, right))
    scale = float(pooled.std()) or 1.0
    found = ks(left, right)
    random = np.random.default_rng(seed)
    chance = np.empty(permutations)
    for number in range(permutations):
        mixed = random.permutation(pooled)
        chance[number] = ks(mixed[: len(left)], mixed[len(left) :])
    return Separation(
        ks=found,
        wasserstein=wasserstein(left, right) / scale,
        by_chance=float(np.quantile(chance, 0.95)),
        p_value=float((1 + (chance >= found - 1e-12).sum()) / (1 + permutations)),
    )


def _difference(first: Array, second: Array) -> tuple[Array, Array]:
    """Difference of the two distribution functions just after each value, and the values, ascending."""
    values = np.concatenate((first, second))
    values.sort()
    below = np.searchsorted(first, values, side="right") / len(first)
    other = np.searchsorted(second, values, side="right") / len(second)
    return below - other, values
