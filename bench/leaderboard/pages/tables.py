"""Who is ranked with whom, and who is listed without a rank, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import PurePosixPath

from bench.core.plain_text import counted
from bench.core.types import ThreatModel
from bench.leaderboard.compare import Rank, rank
from bench.leaderboard.pages.share import Share, attack_share, certified_share, clean_share, robust_share
from bench.row import OWN_SUITE, Record, parse_indices, ranked_examples
from bench.row.arrays import Gallery

__all__ = ["Entry", "Group", "Row", "arrange"]

# OUR CHOICE: a suite for regression checks claims no robustness, so its rows are listed and never ranked.
_CHECKING_SUITE = "quick"
_RANKED_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row and where its files lie under the board's folder.

    Args:
        path: of the row.
        record: its content.
        evidence: of the stored breaks, or None where there are none.
        gallery: a few of them as pictures, or None.
    """

    path: PurePosixPath
    record: Record
    evidence: PurePosixPath | None = None
    gallery: Gallery | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row in its table.

    Args:
        row: the row.
        rank: its rank, or None.
        unranked: why it has none, a few words each; empty where it has one.
        clean: clean accuracy on the examples of the table.
        robust: robust accuracy on them.
        certified: what of it is proved, or None where nobody tried.
        full: robust accuracy on all examples, where the row has more than the table ranks on.
        autoattack: what AutoAttack left of the first examples in another row of the same model, beside a row that is
            ranked on a whole split.
    """

    row: Row
    rank: Rank | None
    unranked: tuple[str, ...]
    clean: Share
    robust: Share
    certified: Share | None
    full: Share | None
    autoattack: Share | None = None

    @property
    def record(self) -> Record:
        """The row's content."""
        return self.row.record

    @property
    def mean(self) -> float:
        """The mean of clean and robust accuracy, in [0, 1]: WRA, by which AW-Net's authors rank (arXiv 2306.03430)."""
        return (self.clean.fraction + self.robust.fraction) / 2

    def attack(self, name: str) -> Share | None:
        """What one attack left, on the examples of the table; None where the row has no such attack."""
        found = next((each for each in self.record.result.attacks if each.name == name), None)
        return attack_share(self.record, found, self.robust.total) if found is not None else None

    def reported(self, name: str) -> Share | None:
        """The same for a number that is shown and never counts."""
        found = next((each for each in self.record.result.reported if each.name == name), None)
        return attack_share(self.record, found, self.robust.total) if found is not None else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """One table: rows that answer the same question.

    Args:
        suite: name with version.
        dataset: name.
        threat_model: text.
        n_ranked: how many of the first examples models are ranked on.
        entries: ranked ones first.
    """

    suite: str
    dataset: str
    threat_model: str
    n_ranked: int
    entries: tuple[Entry, ...]

    @cached_property
    def anchor(self) -> str:
        """The table's name as part of an address."""
        return f"{self.suite}-{self.dataset}-{ThreatModel.parse(self.threat_model).folder}".lower()

    @cached_property
    def n_with_rank(self) -> int:
        """How many rows are ranked."""
        return sum(entry.rank is not None for entry in self.entries)

    @cached_property
    def attacks(self) -> tuple[str, ...]:
        """Attacks of all rows, in the suite's order; those that only some models have come where they stand there."""
        names: list[str] = []
        for entry in self.entries:
            place = 0
            for attack in entry.record.result.attacks:
                if attack.name in names:
                    place = names.index(attack.name) + 1
                else:
                    names.insert(place, attack.name)
                    place += 1
        return tuple(names)


def arrange(rows: Iterable[Row]) -> tuple[Group, ...]:
    """Sort rows into tables, and rank each table; tables by dataset, threat model and suite."""

    def question(row: Row) -> tuple[str, str, str]:
        return (row.record.dataset, str(ThreatModel.parse(row.record.threat_model)), row.record.suite)

    ordered = sorted(rows, key=lambda row: (*question(row), row.record.model))
    known = {_subject(row.record): share for row in ordered if (share := _by_autoattack(row.record)) is not None}
    return tuple(_group(list(members), known) for _, members in groupby(ordered, key=question))


def _subject(record: Record) -> tuple[str, ...]:
    """What model was attacked, on which data, and within which ball."""
    digests = record.digests
    return digests.model, digests.factory, digests.dataset, str(ThreatModel.parse(record.threat_model))


def _by_autoattack(record: Record) -> Share | None:
    """What AutoAttack as a whole left of the first examples; None where the row cannot say."""
    found = next((each for each in record.result.attacks if each.name == "autoattack"), None)
    n_ranked = ranked_examples(record.dataset)
    if found is None or tuple(_obstacles(record, n_ranked, record.digests.dataset)):
        return None
    return attack_share(record, found, n_ranked)


def _group(rows: Sequence[Row], known: Mapping[tuple[str, ...], Share]) -> Group:
    first = rows[0].record
    whole = first.result.audit is not None and first.result.audit.rate is not None
    n_ranked = ranked_examples(first.dataset, whole=whole)
    usual = _most_common(row.record.digests.dataset for row in rows)
    reasons = [tuple(_obstacles(row.record, n_ranked, usual)) for row in rows]
    ranked = [row for row, found in zip(rows, reasons, strict=True) if not found]
    ranks = dict(
        zip(
            [row.record.model for row in ranked],
            rank(
                [row.record.verdicts()[:n_ranked] for row in ranked],
                undecided=[row.record.n_undecided for row in ranked],
            ),
            strict=True,
        )
    )
    entries = [_entry(row, ranks.get(row.record.model), why, n_ranked) for row, why in zip(rows, reasons, strict=True)]
    if whole:
        entries = [replace(entry, autoattack=known.get(_subject(entry.record))) for entry in entries]
    return Group(
        suite=first.suite,
        dataset=first.dataset,
        threat_model=str(ThreatModel.parse(first.threat_model)),
        n_ranked=n_ranked,
        entries=tuple(sorted(entries, key=_order)),
    )


def _entry(row: Row, place: Rank | None, why: tuple[str, ...], n_ranked: int) -> Entry:
    longer = row.record.result.n_examples > n_ranked and place is not None
    first = n_ranked if longer else None
    return Entry(
        row=row,
        rank=place,
        unranked=why,
        clean=clean_share(row.record, first),
        robust=robust_share(row.record, first),
        certified=certified_share(row.record, first),
        full=robust_share(row.record) if longer else None,
    )


def _obstacles(record: Record, n_ranked: int, usual_data: str) -> Iterable[str]:
    result = record.result
    if record.suite.rpartition("-v")[0] == _CHECKING_SUITE:
        yield "a suite for regression checks"
    if record.suite.startswith(OWN_SUITE):
        yield "a suite of somebody's own"
    if record.black_box is not None:
        yield record.black_box.doubt
    if result.audit is not None and result.audit.rate is None:
        yield f"an interval from an audit: at least {result.audit.at_least} robust"
    failed = [check.id for check in result.diagnostics if check.failed]
    if failed:
        yield f"upper bound only: {', '.join(failed)} failed"
    if both := record.contradicted():
        yield f"{len(both)} examples both certified and broken"
    missing = [check.id for check in result.diagnostics if not check.ran]
    if missing:
        yield f"checks not run: {', '.join(missing)}"
    if parse_indices(result.indices)[:n_ranked] != tuple(range(n_ranked)):
        yield f"{counted(result.n_examples, 'example')}, not the first {n_ranked:,}"
    if result.seed != _RANKED_SEED:
        yield f"seed {result.seed}, not {_RANKED_SEED}"
    if record.digests.dataset != usual_data:
        pixels = f": {record.preprocessing}" if record.preprocessing is not None else ""
        yield f"another version of the data{pixels}"


def _most_common(values: Iterable[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def _order(entry: Entry) -> tuple[bool, int, float, float, str]:
    place = entry.rank.best if entry.rank is not None else 0
    return (entry.rank is None, place, -entry.robust.fraction, -entry.clean.fraction, entry.record.model)
