"""How large the squares are, query by query (Andriushchenko et al. 2020, arXiv 1912.00049, sections 3 and 4.1)."""

from __future__ import annotations

import math
from bisect import bisect_left

__all__ = ["l2_side", "linf_side", "share"]

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After these queries the share halves: the schedule for 10,000 queries, which AutoAttack uses without rescaling."""
_SMALLEST_L2_SIDE = 3


def share(query: int, initial: float) -> float:
    """Share of the image that the square of a query covers, in (0, 1].

    Args:
        query: number of the query, from 0.
        initial: the share at query 0 (`p_init`).

    >>> share(10, 0.8), share(11, 0.8), share(4999, 0.8)
    (0.8, 0.4, 0.00625)
    """
    return initial / float(2 ** bisect_left(_HALVINGS, query))


def linf_side(query: int, initial: float, height: int, width: int) -> int:
    """Side of the square for Linf, in pixels; at least 1."""
    side = round(math.sqrt(share(query, initial) * height * width))
    return min(max(side, 1), height, width)


def l2_side(query: int, initial: float, height: int, width: int) -> int:
    """Side of the square for L2, in pixels: odd and at least 3, where the image is large enough."""
    side = max(round(math.sqrt(share(query, initial) * height * width)), _SMALLEST_L2_SIDE)
    return min(side + (side + 1) % 2, height, width)
