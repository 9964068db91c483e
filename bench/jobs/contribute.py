"""Breaks that others found: each is judged on the row's own weights before it may lower the row's headline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from bench import leaderboard
from bench.core.errors import BenchError, FoundSomethingError, WorkFailedError
from bench.core.types import ThreatModel
from bench.data import Dataset
from bench.evaluation import Advance, Judge, inside
from bench.jobs.claims import Claims, read_claims
from bench.jobs.evidence import pack
from bench.jobs.lookup import Lookup
from bench.jobs.request import pick_device
from bench.jobs.row_files import check_file, read_row
from bench.jobs.verify import Opened, open_row
from bench.leaderboard.store import EvidenceKind
from bench.row import CheckResult, ExternalBreak, Level, Record, parse_indices, same_function
from bench.row.arrays import Breaks, merge_breaks
from bench.storage import Place

__all__ = [
    "Added",
    "Contribution",
    "FoundBreaks",
    "add",
    "refuse_failed",
    "robust_in",
    "sound",
    "store_found",
    "stored_external",
]


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What somebody hands in.

    Args:
        file: the claimed breaks, see `claims`.
        by: who found them.
        source: what with, or where they are published.
    """

    file: Path
    by: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of claimed breaks; official indices, ascending.

    Args:
        path: of the row.
        record: the row as it is now.
        new: broken for the first time.
        known: confirmed, but the row does not call these examples robust anyway.
        refused: classified correctly, or misclassified by no more than rounding.
        outside: outside the ball or the box; each was judged as what it is pulled back to.
    """

    path: Place
    record: Record
    new: tuple[int, ...]
    known: tuple[int, ...]
    refused: tuple[int, ...]
    outside: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FoundBreaks:
    """Confirmed breaks, and where they come from.

    Args:
        breaks: at most one per example.
        source: see `ExternalBreak`.
        by: who found them.
        row: for a transfer, digest of the row whose evidence they were.
    """

    breaks: Breaks
    source: str
    by: str
    row: str | None = None


def add(
    path: Place,
    contribution: Contribution,
    lookup: Lookup,
    *,
    begin: Callable[[int], None] = lambda total: None,
    advance: Advance = lambda count: None,
    notify: Callable[[str], None] = lambda line: None,
) -> Added:
    """Judge claimed breaks, and store those that hold and are new.

    The board is held only while the row is changed, which is read again then: others may add to it meanwhile.

    Args:
        path: of the row.
        contribution: what was handed in.
        lookup: where model and data are found.
        begin: called once with the number of inputs that will be classified.
        advance: called after each batch with its number of inputs.
        notify: called before waiting for another writer, with a line that says for whom.

    Raises:
        FoundSomethingError: if the row, its data, its weights or its external evidence are not what the row says.
        BenchError: if a file cannot be read, or a claim is about an example that the row has not.
        WorkFailedError: if the row was replaced meanwhile, or another writer holds the board for too long.
    """
    record = sound(path)
    opened = open_row(record, lookup)
    refuse_failed(opened.checks)
    stored_external(path, record, opened.dataset)
    claims = read_claims(contribution.file, opened.dataset)
    _refuse_strangers(record, claims)
    begin(len(claims.indices))
    breaks, outside = _judged(opened, claims, lookup, advance)
    robust = set(robust_in(record))
    confirmed = set(breaks.indices.tolist())
    kept: tuple[ExternalBreak, ...] = ()
    if confirmed & robust:
        found = FoundBreaks(breaks=breaks, source=contribution.source, by=contribution.by)
        record, kept = store_found(path, record, [found], opened.dataset, notify=notify)
    new = {index for each in kept for index in each.indices}
    return Added(
        path=path,
        record=record,
        new=tuple(sorted(new)),
        known=tuple(sorted(confirmed - new)),
        refused=tuple(index for index in claims.indices.tolist() if index not in confirmed),
        outside=outside,
    )


def stored_external(path: Place, record: Record, dataset: Dataset) -> Breaks:
    """What others broke so far.

    Raises:
        FoundSomethingError: if the file is not the one that the row was written with.
    """
    breaks, check = check_file(path, record, EvidenceKind.EXTERNAL, dataset.shape)
    refuse_failed([check])
    return breaks if breaks is not None else Breaks.none(dataset.shape)


def store_found(
    path: Place,
    judged: Record,
    found: Sequence[FoundBreaks],
    dataset: Dataset,
    *,
    notify: Callable[[str], None] = lambda line: None,
) -> tuple[Record, tuple[ExternalBreak, ...]]:
    """Store those of the confirmed breaks that the row, as it is now, still calls robust.

    Args:
        path: of the row.
        judged: the row for whose model they were confirmed.
        found: the breaks, the first of an example counts.
        dataset: the split that they belong to.
        notify: called before waiting for another writer, with a line that says for whom.

    Returns:
        The row as it is now, and what was stored.

    Raises:
        FoundSomethingError: if the row or its external evidence is not what it says.
        WorkFailedError: if another row was written meanwhile, or another writer holds the board for too long.
    """
    with leaderboard.locked(leaderboard.board_of(path), notify):
        record = sound(path)
        same = (record.digests.model, record.digests.dataset) == (judged.digests.model, judged.digests.dataset)
        if not same or same_function(record.fingerprint, judged.fingerprint) is False:
            raise WorkFailedError(
                f"Nothing was added, since {path} was replaced meanwhile by a row of another model or other data. Run"
                " the same command again."
            )
        robust = set(robust_in(record))
        parts, entries = [stored_external(path, record, dataset)], []
        for each in found:
            new = each.breaks.pick(np.isin(each.breaks.indices, sorted(robust)))
            if len(new):
                robust -= set(new.indices.tolist())
                parts.append(new)
                entries.append(_entry(each, new))
        if entries:
            packed = pack(merge_breaks(*parts), dataset, gallery=False)
            record = replace(record, external_breaks=(*record.external_breaks, *entries), external_evidence=packed.link)
            leaderboard.amend(path, record, packed.content)
    return record, tuple(entries)


def _entry(found: FoundBreaks, new: Breaks) -> ExternalBreak:
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    indices = tuple(new.indices.tolist())
    return ExternalBreak(source=found.source, by=found.by, date=today, n=len(indices), indices=indices, row=found.row)


def _judged(opened: Opened, claims: Claims, lookup: Lookup, advance: Advance) -> tuple[Breaks, tuple[int, ...]]:
    if opened.model is None:
        raise ValueError("Expected `opened` to have a model, but it has none.")
    threat_model = ThreatModel.parse(opened.record.threat_model)
    judge = Judge(
        opened.model.module,
        threat_model,
        device=pick_device(lookup.device),
        seed=opened.record.result.seed,
        advance=advance,
    )
    examples = opened.dataset.examples[claims.indices]
    allowed = inside(claims.points, examples.inputs, threat_model)
    return judge.confirm(claims.points, examples), tuple(claims.indices[~allowed].tolist())


def robust_in(record: Record) -> tuple[int, ...]:
    """Official indices of the examples that neither the suite nor others broke."""
    pairs = zip(parse_indices(record.result.indices), record.verdicts(), strict=True)
    return tuple(index for index, robust in pairs if robust)


def sound(path: Place) -> Record:
    """The row as it lies there, if it is what bench wrote.

    Raises:
        FoundSomethingError: if it contradicts itself.
        BenchError: if it cannot be read.
    """
    record, first = read_row(path)
    refuse_failed([first])
    if record is None:
        raise FoundSomethingError(first.evidence)
    return record


def refuse_failed(checks: Sequence[CheckResult]) -> None:
    """Refuse to add to a row that does not hold.

    Raises:
        FoundSomethingError: naming the first check that failed.
    """
    for check in checks:
        if check.level is Level.FAIL:
            raise FoundSomethingError(
                f"Nothing was added, since the row does not hold ({check.what}): {check.evidence}."
            )


def _refuse_strangers(record: Record, claims: Claims) -> None:
    strangers = set(claims.indices.tolist()) - set(parse_indices(record.result.indices))
    if strangers:
        raise BenchError(
            f"Expected breaks of the row's examples {record.result.indices:.40}, but example {min(strangers)} is none."
        )
