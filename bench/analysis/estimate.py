"""Numbers with their uncertainty: bootstrap intervals of means and of differences, Wilson intervals of shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.statistics import wilson

__all__ = ["Estimate", "bootstrap", "contrast", "mean", "share"]

RESAMPLES = 2_000
_MOST_DRAWN = 1 << 20
"""Units that are drawn at once, so that memory does not grow with their number times that of the resamples."""
_DIGITS = 6

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and its two-sided 95 % interval.

    Args:
        value: the number.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def told(self, digits: int = 2, *, unit: float = 1.0, signed: bool = False) -> str:
        """As text, `0.21 (0.15 to 0.30)`, all multiplied by `unit`; with `signed`, the number has its sign."""
        sign = "+" if signed else ""
        value, low, high = (unit * each for each in (self.value, self.low, self.high))
        return f"{value:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Estimate:
        """Out of the JSON values."""
        return cls(**values)

    @property
    def json(self) -> dict[str, float]:
        """As JSON values, rounded to six digits."""
        return {name: float(f"{getattr(self, name):.{_DIGITS}g}") for name in ("value", "low", "high")}


def mean(values: ArrayLike, *, seed: int) -> Estimate:
    """The mean of one value per unit, with a percentile bootstrap over the units.

    Args:
        values: `(N,)`, at least one.
        seed: of the resamples; the same for the same number of units, so that paired means are resampled alike.
    """
    return bootstrap(np.asarray(values, np.float64), lambda drawn: drawn.mean(axis=-1), seed=seed)


def bootstrap(values: Array, statistic: Callable[[Array], Array], *, seed: int) -> Estimate:
    """A statistic of the units with its percentile bootstrap interval.

    Args:
        values: `(N,)`.
        statistic: maps `(..., N)` to `(...)`.
        seed: of the resamples.

    Raises:
        ValueError: if there are no values.
    """
    if not len(values):
        raise ValueError("Expected `values` to hold at least one number, but got none.")
    low, high = np.quantile(_resampled(values, statistic, np.random.default_rng(seed)), (0.025, 0.975))
    return Estimate(value=float(statistic(values)), low=float(low), high=float(high))


def share(count: int, total: int) -> Estimate:
    """`count / total` with its Wilson interval, whose ends rounding may put within it where all or none count."""
    low, high = wilson(count, total)
    value = count / total
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def contrast(first: ArrayLike, second: ArrayLike, *, seed: int) -> Estimate:
    """Mean of one sample less mean of another, of other units; each is resampled apart.

    Args:
        first: `(N,)`.
        second: `(M,)`.
        seed: of the resamples.
    """
    one, other = (np.asarray(values, np.float64) for values in (first, second))
    random = np.random.default_rng(seed)
    means = [_resampled(values, lambda drawn: drawn.mean(axis=-1), random) for values in (one, other)]
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    return Estimate(value=float(one.mean() - other.mean()), low=float(low), high=float(high))


def _resampled(values: Array, statistic: Callable[[Array], Array], random: np.random.Generator) -> Array:
    """The statistic of every resample, `(RESAMPLES,)`: some at a time, which draws the same as all at once."""
    at_once = max(1, _MOST_DRAWN // len(values))
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    draws = (random.integers(len(values), size=(size, len(values))) for size in sizes)
    return np.concatenate([statistic(values[drawn]) for drawn in draws])
