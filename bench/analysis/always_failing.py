"""How the set of examples that every model fails on shrinks as models are added, exactly over all subsets of models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_chance", "shares"]

_MOST_SUBSETS = 1_000


def shares(fails: NDArray[np.bool_], *, seed: int) -> list[dict[str, float]]:
    """For each number k of models, the share of examples that all of k models fail on.

    Args:
        fails: `(models, examples)`.
        seed: of the subsets that are tried for the smallest and largest share where there are too many to try all.

    Returns:
        For each k from 1: `mean` over all subsets (exact: one that m of M models fail on counts C(m, k) / C(M, k)),
        `least` and `most` over the subsets tried.
    """
    n_models = len(fails)
    hardness = fails.sum(axis=0)
    found = []
    for size in range(1, n_models + 1):
        mean = np.mean([math.comb(int(count), size) for count in hardness]) / math.comb(n_models, size)
        tried = [fails[list(subset)].all(axis=0).mean() for subset in _subsets(n_models, size, seed)]
        found.append({"mean": float(mean), "least": float(min(tried)), "most": float(max(tried))})
    return found


def by_chance(fails: NDArray[np.bool_]) -> float:
    """The share that all models would fail on if they failed independently: the product of their own shares."""
    return float(np.prod(fails.mean(axis=1)))


def _subsets(n_models: int, size: int, seed: int) -> Sequence[tuple[int, ...]]:
    if math.comb(n_models, size) <= _MOST_SUBSETS:
        return list(itertools.combinations(range(n_models), size))
    random = np.random.default_rng([seed, size])
    return [tuple(random.choice(n_models, size, replace=False).tolist()) for _ in range(_MOST_SUBSETS)]
