"""Error bars of accuracies; plain arithmetic, no tensors."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Interval", "wilson"]

NORMAL_975 = 1.959963984540054


class Interval(NamedTuple):
    """A two-sided interval of fractions in [0, 1]."""

    low: float
    high: float


def wilson(n_correct: int, n_examples: int) -> Interval:
    """The 95 % Wilson score interval of a fraction (Wilson 1927).

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]

    Raises:
        ValueError: unless 0 <= n_correct <= n_examples and n_examples > 0.
    """
    if not 0 <= n_correct <= n_examples or n_examples < 1:
        raise ValueError(f"Expected 0 <= `n_correct` <= `n_examples` and at least 1, but got {n_correct}/{n_examples}.")
    share = n_correct / n_examples
    spread = NORMAL_975**2 / n_examples
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
