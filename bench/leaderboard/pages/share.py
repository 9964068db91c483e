"""Counts on the first examples of a row: what the board's tables show."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.statistics import Interval, wilson
from bench.row import AttackResult, Record, Reported, unpack_verdicts

__all__ = ["Share", "attack_share", "certified_share", "clean_share", "robust_share"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A count of examples and what it says of the accuracy.

    Args:
        count: examples that count.
        total: examples that were tried.
        undecided: of those that count how many may not, since an audit did not try everything on them.
    """

    count: int
    total: int
    undecided: int = 0

    @property
    def fraction(self) -> float:
        """In [0, 1]."""
        return self.count / self.total

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval; where some are undecided it begins as if they did not count."""
        return wilson(self.count, self.total, n_undecided=self.undecided)


def robust_share(record: Record, first: int | None = None) -> Share:
    """How many of the row's first examples (all, for None) withstood the suite and what others found.

    All that an audit of the row leaves undecided may be among them.
    """
    found = record.verdicts()[:first]
    count = sum(found)
    return Share(count=count, total=len(found), undecided=min(count, record.n_undecided))


def certified_share(record: Record, first: int | None = None) -> Share | None:
    """Of how many of the row's first examples (all, for None) nothing breaks them by proof; None without a certificate.

    What nobody tried to prove counts as not proved, so that the share is a bound from below all the same.
    """
    if record.certificate is None:
        return None
    found = record.certified()[:first]
    return Share(count=sum(found), total=len(found))


def clean_share(record: Record, first: int | None = None) -> Share:
    """How many of the row's first examples (all of them for None) are classified correctly without an attack."""
    found = record.result.clean_verdicts()[:first]
    return Share(count=sum(found), total=len(found))


def attack_share(record: Record, attack: AttackResult | Reported, first: int | None = None) -> Share | None:
    """How many of the row's first examples withstood one attack; None for a bare statistic."""
    if attack.robust is None:
        return None
    found = unpack_verdicts(attack.robust, record.result.n_examples)[:first]
    return Share(count=sum(found), total=len(found))
