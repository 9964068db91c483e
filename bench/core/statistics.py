"""What chance explains: exact tests and intervals of counts, right and quick up to the largest test split.

scipy is imported where it is called: it takes longer than most commands, which need none of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "CONFIDENCE",
    "Interval",
    "binomial_tail",
    "holm",
    "hypergeometric",
    "mcnemar",
    "most_missed",
    "signed_rank",
    "wilson",
]

CONFIDENCE = 0.95
"""Of `most_missed`."""
_ONE_IN = 20
"""A count is ruled out where the audit's outcome had a probability below one in twenty."""
_DOUBT = 1e-3
"""How near to that a logarithm of it is computed again in whole numbers; of a million examples it is off by 1e-7."""
_NORMAL_975 = 1.959963984540054
# OUR CHOICE: below so many pairs the distribution is counted out; above, it is as good as normal.
_MOST_COUNTED_OUT = 30


class Interval(NamedTuple):
    """A two-sided interval of fractions in [0, 1]."""

    low: float
    high: float


def wilson(n_correct: float, n_examples: int, *, n_undecided: float = 0) -> Interval:
    """The 95 % Wilson score interval of a fraction (Wilson 1927).

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    >>> [round(end, 3) for end in wilson(5, 10, n_undecided=2)]
    [0.108, 0.763]

    Args:
        n_correct: examples that count as correct.
        n_examples: all examples.
        n_undecided: of the correct ones those that may not be: the interval begins where it would without them.

    Raises:
        ValueError: unless 0 <= n_undecided <= n_correct <= n_examples and n_examples > 0.
    """
    if not 0 <= n_correct <= n_examples or n_examples < 1:
        raise ValueError(f"Expected 0 <= `n_correct` <= `n_examples` and at least 1, but got {n_correct}/{n_examples}.")
    if not 0 <= n_undecided <= n_correct:
        raise ValueError(f"Expected 0 <= `n_undecided` <= {n_correct}, but got {n_undecided}.")
    if n_undecided:
        return Interval(wilson(n_correct - n_undecided, n_examples).low, wilson(n_correct, n_examples).high)
    share = n_correct / n_examples
    spread = _NORMAL_975**2 / n_examples
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def binomial_tail(count: int, total: int, rate: float) -> float:
    """Chance of at least `count` of `total` where each comes up with probability `rate`.

    >>> binomial_tail(2, 2, 0.5)
    0.25

    Args:
        count: 0 to `total`.
        total: at least 0.
        rate: in [0, 1].
    """
    from scipy.special import betainc

    return float(betainc(count, total - count + 1, rate)) if count else 1.0


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test: the chance of flips at least this uneven if each went either way alike.

    >>> mcnemar(0, 5)
    0.0625

    Args:
        gained: flips one way.
        lost: flips the other way.
    """
    return min(1.0, 2 * binomial_tail(max(gained, lost), gained + lost, 0.5))


def hypergeometric(n_found: int, *, n_drawn: int, n_marked: int, n_population: int) -> float:
    """Two-sided chance of a count this far out: twice the smaller tail, at most 1.

    >>> round(hypergeometric(0, n_drawn=2, n_marked=5, n_population=10), 4)
    0.4444

    Args:
        n_found: how many of those that were drawn are marked.
        n_drawn: how many were drawn without replacement.
        n_marked: how many of the population are marked.
        n_population: out of how many was drawn.
    """
    from scipy.stats import hypergeom

    drawn = hypergeom(n_population, n_marked, n_drawn)
    return min(1.0, 2 * float(min(drawn.cdf(n_found), drawn.sf(n_found - 1))))


def most_missed(n_population: int, n_audited: int, n_breaks: int = 0) -> int:
    """The most breaks that may be left among the examples that an audit did not look at.

    The audit draws `n_audited` of `n_population` examples without replacement and finds `n_breaks` of them broken. The
    bound is the largest number of breaks in the population for which so few have probability 5 % or more (the
    hypergeometric distribution's lower tail, Clopper and Pearson's construction), less those found, to the last digit:
    rows are held against it. Whatever the true number is, the bound is below it in at most 5 % of audits.

    >>> most_missed(100, 58), most_missed(4000, 250, 1)
    (3, 72)

    Args:
        n_population: examples that the audit draws from.
        n_audited: how many it draws.
        n_breaks: how many of them broke.

    Raises:
        ValueError: unless 0 <= n_breaks <= n_audited <= n_population.
    """
    if not 0 <= n_breaks <= n_audited <= n_population:
        raise ValueError(
            "Expected 0 <= `n_breaks` <= `n_audited` <= `n_population`, but got"
            f" {n_breaks}, {n_audited} and {n_population}."
        )
    low, high = n_breaks, n_population - n_audited + n_breaks
    while low < high:  # the chance falls as breaks are added, so the last count that is not ruled out can be bisected
        middle = (low + high + 1) // 2
        if _may_find_so_few(n_population, n_audited, middle, n_breaks):
            low = middle
        else:
            high = middle - 1
    return low - n_breaks


def _may_miss_all(n_population: int, n_audited: int, n_broken: int) -> bool:
    """Whether an audit misses all breaks with a chance of at least one in twenty, in whole numbers.

    The chance is a product of fractions that only falls, and is left once it is too small: the numbers stay short.
    """
    missed = every = 1
    for place in range(min(n_audited, n_broken)):
        missed *= n_population - max(n_audited, n_broken) - place
        every *= n_population - place
        if _ONE_IN * missed < every:
            return False
    return True


def _may_find_so_few(n_population: int, n_audited: int, n_broken: int, n_found: int) -> bool:
    """Whether an audit finds at most `n_found` breaks with a chance of at least one in twenty.

    In floating point where that leaves no doubt, since a row may be of a million examples; else in whole numbers.
    """
    if not n_found:
        return _may_miss_all(n_population, n_audited, n_broken)
    least = max(0, n_audited - (n_population - n_broken))
    if least > n_found:
        return False
    excess = math.log(_ONE_IN) + _log_chance(n_population, n_audited, n_broken, least, n_found)
    if abs(excess) > _DOUBT:
        return excess > 0
    ways = total = math.comb(n_broken, least) * math.comb(n_population - n_broken, n_audited - least)
    for found in range(least, n_found):
        ways *= (n_broken - found) * (n_audited - found)
        ways //= (found + 1) * (n_population - n_broken - n_audited + found + 1)
        total += ways
    return _ONE_IN * total >= math.comb(n_population, n_audited)


def _log_chance(n_population: int, n_audited: int, n_broken: int, least: int, most: int) -> float:
    """Logarithm of the chance that an audit finds from `least`, the fewest that it can find, to `most` breaks."""
    term = (
        _log_ways(n_broken, least)
        + _log_ways(n_population - n_broken, n_audited - least)
        - _log_ways(n_population, n_audited)
    )
    terms = [term]
    for found in range(least, min(most, n_broken, n_audited)):
        more = (n_broken - found) * (n_audited - found)
        term += math.log(more / ((found + 1) * (n_population - n_broken - n_audited + found + 1)))
        terms.append(term)
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(each - largest) for each in terms))


def _log_ways(n: int, k: int) -> float:
    """Logarithm of the binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Which hypotheses are rejected when all are tested together at `level` (Holm 1979).

    >>> holm([0.01, 0.04, 0.03], 0.05)
    (True, False, False)

    Args:
        p_values: one for each hypothesis, in [0, 1].
        level: bound on the chance of any false rejection, in (0, 1).
    """
    import numpy as np

    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    kept = values[order] > level / np.arange(len(values), 0, -1)
    rejected = np.zeros(len(values), dtype=bool)
    rejected[order[: int(kept.argmax()) if kept.any() else None]] = True
    return tuple(rejected.tolist())


def signed_rank(differences: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test for pairs (Wilcoxon 1945, Biometrics Bulletin 1, 80-83).

    Two-sided probability of differences this one-sided, were each as likely positive as negative. Zeros say nothing and
    are left out; equal sizes share their mean rank; infinite ones are the largest.

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
    tail = _counted_out(doubled, smaller) if len(kept) <= _MOST_COUNTED_OUT else _normal(doubled, smaller)
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


def _counted_out(doubled: Sequence[int], at_most: int) -> float:
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
