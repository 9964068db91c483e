"""Who is ranked with whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import pytest

from bench.core.audited import is_audited
from bench.core.statistics import most_missed, wilson
from bench.leaderboard.compare.ranking import Rank
from bench.leaderboard.pages.share import robust_share
from bench.leaderboard.pages.tables import Group, Row, arrange
from bench.leaderboard.pages.wording import doubts
from bench.row import Certificate, pack_verdicts
from bench.row.record import Audit, Diagnostic, ExternalBreak, Record

Make = Callable[..., Record]
FAILED = Diagnostic(id="R8", status="fail", statistic=0.1, threshold=0.5, evidence="", next="")


def table(*records: Record) -> Group:
    """The only table of these rows."""
    (group,) = arrange([Row(path=PurePosixPath(record.model), record=record) for record in records])
    return group


def changed(record: Record, **change: Any) -> Record:
    """The row with fields of its result replaced."""
    return dataclasses.replace(record, result=dataclasses.replace(record.result, **change))


@pytest.fixture
def strong(record: Make) -> Record:
    """350 of digits' 360 robust."""
    return record([True] * 350 + [False] * 10, dataset="digits", model="strong")


@pytest.fixture
def weak(record: Make) -> Record:
    """300 of 360 robust."""
    return record([True] * 300 + [False] * 60, dataset="digits", model="weak")


def test_rows_on_enough_examples_are_ranked(strong: Record, weak: Record) -> None:
    """Best first, whatever order they come in."""
    group = table(weak, strong)
    assert [(entry.record.model, entry.rank) for entry in group.entries] == [
        ("strong", Rank(1, 1)),
        ("weak", Rank(2, 2)),
    ]
    assert (group.n_ranked, group.anchor) == (360, "standard-v1-digits-linf-8_255")


def test_a_longer_row_enters_with_its_first_examples(record: Make) -> None:
    """1,000 of cifar10; the number on all stands beside it."""
    group = table(record([True] * 900 + [False] * 100 + [True] * 500))
    (entry,) = group.entries
    assert (entry.robust.count, entry.robust.total) == (900, 1000)
    assert entry.full is not None and (entry.full.count, entry.full.total) == (1400, 1500)
    share = entry.attack("pgd-20")
    assert share is not None and (share.count, share.total) == (900, 1000)
    assert entry.clean.total == 1000 and entry.attack("fgsm") is None


def test_what_is_not_ranked_says_why(strong: Record, weak: Record, record: Make) -> None:
    """Each obstacle by itself; the row stays in the table, behind the ranked ones, and others keep their rank."""
    audit = Audit(at_least=323, confidence=0.95, n_audited=10, n_unaudited=100, n_breaks=0)
    other_data = dataclasses.replace(strong, digests=dataclasses.replace(strong.digests, dataset="e" * 64), model="o")
    cases = {
        "upper bound only: R8 failed": changed(strong, diagnostics=(FAILED,)),
        "checks not run: R8": changed(strong, diagnostics=(dataclasses.replace(FAILED, status="not run"),)),
        "64 examples, not the first 360": record([True] * 64, dataset="digits", model="short"),
        "359 examples, not the first 360": record([True] * 359, dataset="digits", model="later", start=1),
        "seed 1, not 0": changed(strong, seed=1),
        "an interval from an audit: at least 323 robust": changed(strong, audit=audit),
        "another version of the data": other_data,
    }
    for reason, row in cases.items():
        first, *rest = table(row, weak, dataclasses.replace(weak, model="weak-2")).entries
        assert first.record.model == "weak" and first.rank == Rank(1, 2), reason
        assert rest[-1].rank is None and rest[-1].unranked == (reason,)


def test_an_interval_begins_at_what_is_certain(record: Make) -> None:
    """What an audit left undecided counts against the lower end, of a part of the row as of the whole."""
    row = audited([True] * 600 + [False] * 400 + [True] * 2000, record)
    assert row.n_undecided > 40
    (entry,) = table(row).entries
    low, high = entry.robust.interval
    assert (low, high) == row.robust_interval and low < wilson(2600, 3000).low and high == wilson(2600, 3000).high
    assert robust_share(row, 1000).interval.low == wilson(600 - row.n_undecided, 1000).low


RULES = {"rate": "1/16", "most_broken": "1/128"}


def audited(robust: list[bool], record: Make, **change: Any) -> Record:
    """A row of a suite that audits itself, in which the audit broke nothing."""
    row = record(robust, suite="swift-v1", parameters={"audit": RULES}, **change)
    looked = sum(held and is_audited(index, Fraction(1, 16)) for index, held in enumerate(robust))
    n_left = sum(robust) - looked
    least = sum(robust) - most_missed(sum(robust), looked)
    audit = Audit(at_least=least, confidence=0.95, n_audited=looked, n_unaudited=n_left, n_breaks=0, rate=RULES["rate"])
    return changed(row, audit=audit)


def test_an_audited_row_is_ranked_on_the_whole_split(record: Make) -> None:
    """By its verdicts on all 10,000; what AutoAttack left of the first 1,000 stands beside it, of the same model."""
    strong = audited([True] * 5000 + [False] * 5000, record, model="strong")
    weak = audited([True] * 4600 + [False] * 5400, record, model="weak")
    part = audited([True] * 500 + [False] * 500, record, model="part")
    other = changed(
        record([True] * 700 + [False] * 300, model="strong"),
        attacks=(dataclasses.replace(record([True] * 700 + [False] * 300).result.attacks[0], name="autoattack"),),
    )
    unlike = dataclasses.replace(other, model="weak", digests=dataclasses.replace(other.digests, model="f" * 64))
    _, group = arrange([Row(path=PurePosixPath("x"), record=row) for row in (weak, strong, part, other, unlike)])
    assert group.n_ranked == 10_000
    assert [(entry.record.model, entry.rank) for entry in group.entries] == [
        ("strong", Rank(1, 1)),
        ("weak", Rank(2, 2)),
        ("part", None),
    ]
    assert group.entries[2].unranked == ("1,000 examples, not the first 10,000",)
    first = group.entries[0]
    assert first.autoattack is not None and (first.autoattack.count, first.autoattack.total) == (700, 1000)
    assert doubts(first)[0] == f"at least {first.record.result.audit.at_least:,} robust: the audit broke 0 of 299"


def test_an_audit_that_left_nothing_out_raises_no_doubt(record: Make) -> None:
    """Of a network that withstands nothing."""
    (group,) = arrange([Row(path=PurePosixPath("x"), record=audited([False] * 10_000, record))])
    assert not [doubt for doubt in doubts(group.entries[0]) if "audit" in doubt]


def test_a_suite_for_checking_ranks_nothing(strong: Record) -> None:
    """The suite quick claims no robustness."""
    (entry,) = table(dataclasses.replace(strong, suite="quick-v1")).entries
    assert entry.rank is None and entry.unranked == ("a suite for regression checks",)


def test_what_others_broke_lowers_headline_and_rank(strong: Record, weak: Record) -> None:
    """The suite's own verdicts stay, and so do its columns."""
    found = ExternalBreak(source="x", by="y", date="2026-01-01", n=100, indices=tuple(range(100)))
    lower = dataclasses.replace(strong, external_breaks=(found,))
    first, second = table(lower, weak).entries
    assert (first.record.model, second.record.model) == ("weak", "strong")
    assert second.robust.count == 250 and second.rank == Rank(2, 2)
    share = second.attack("pgd-20")
    assert share is not None and share.count == 350


def test_unlike_questions_are_other_tables(strong: Record) -> None:
    """Suite, data set and threat model; however a threat model is written."""
    rows = [
        strong,
        dataclasses.replace(strong, suite="adaptive-v1"),
        dataclasses.replace(strong, threat_model="L2:1/4"),
        dataclasses.replace(strong, model="b", threat_model="linf: 8/255"),
    ]
    groups = arrange([Row(path=PurePosixPath("x"), record=row) for row in rows])
    assert [(group.threat_model, group.suite, len(group.entries)) for group in groups] == [
        ("L2:1/4", "standard-v1", 1),
        ("Linf:8/255", "adaptive-v1", 1),
        ("Linf:8/255", "standard-v1", 2),
    ]


def test_a_suite_of_ones_own_ranks_nothing(strong: Record) -> None:
    """Nobody has looked at what its attacks are worth."""
    (entry,) = table(dataclasses.replace(strong, suite="own-standard-v1")).entries
    assert entry.rank is None
    assert entry.unranked == ("a suite of somebody's own",)


def certified(record: Record, n_proved: int, n_tried: int) -> Record:
    """The row with a certificate about its first examples."""
    proved = pack_verdicts([position < n_proved for position in range(n_tried)])
    certificate = Certificate(
        method="by hand", code="c", model=record.digests.model, indices=f"0:{n_tried}", n_proved=n_proved, proved=proved
    )
    return dataclasses.replace(record, certificate=certificate)


def test_a_certificate_bounds_a_row_from_below(strong: Record) -> None:
    """Examples that nobody tried to certify count as not certified."""
    (entry,) = table(certified(strong, 40, 100)).entries
    assert entry.certified is not None and (entry.certified.count, entry.certified.total) == (40, 360)
    assert entry.rank is not None and table(strong).entries[0].certified is None


def test_what_is_certified_and_broken_takes_no_rank(strong: Record) -> None:
    """Either the proof or the row is wrong."""
    (entry,) = table(certified(strong, 352, 360)).entries
    assert entry.unranked == ("2 examples both certified and broken",)
