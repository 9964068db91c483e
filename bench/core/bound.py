"""How many breaks a random audit may have missed: an exact one-sided 95 % bound, in whole numbers."""

from __future__ import annotations

from math import comb

__all__ = ["CONFIDENCE", "most_missed"]

CONFIDENCE = 0.95
_ONE_IN = 20
"""A count is ruled out where the audit's outcome had a probability below one in twenty."""


def most_missed(n_population: int, n_audited: int, n_broken: int = 0) -> int:
    """The most breaks that may be left among the examples that an audit did not look at.

    The audit draws `n_audited` of `n_population` examples without replacement and finds `n_broken` of them broken. The
    bound is the largest number of breaks in the population for which finding so few has probability 5 % or more (the
    hypergeometric distribution's lower tail, Clopper and Pearson's construction), less those that were found. Whatever
    the true number is, the bound is below it in at most 5 % of audits.

    >>> most_missed(100, 58)
    3

    Args:
        n_population: examples that the audit draws from.
        n_audited: how many it draws.
        n_broken: how many of these are broken.

    Raises:
        ValueError: unless 0 <= n_broken <= n_audited <= n_population.
    """
    if not 0 <= n_broken <= n_audited <= n_population:
        raise ValueError(
            "Expected 0 <= `n_broken` <= `n_audited` <= `n_population`, but got"
            f" {n_broken}, {n_audited} and {n_population}."
        )
    low, high = n_broken, n_population - n_audited + n_broken
    while low < high:  # the tail falls as breaks are added, so the last count that is not ruled out can be bisected
        middle = (low + high + 1) // 2
        if _ONE_IN * _ways(n_population, n_audited, n_broken, middle) >= comb(n_population, n_audited):
            low = middle
        else:
            high = middle - 1
    return low - n_broken


def _ways(n_population: int, n_audited: int, n_found: int, n_breaks: int) -> int:
    """Audits that find at most `n_found` of `n_breaks` breaks."""
    return sum(
        comb(n_breaks, found) * comb(n_population - n_breaks, n_audited - found)
        for found in range(min(n_found, n_breaks) + 1)
    )
