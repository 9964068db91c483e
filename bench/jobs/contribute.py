"""Breaks that others found: each is judged on the row's own weights before it may lower the row's headline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import torch

from bench import leaderboard
from bench.core.breaks import Breaks, merge
from bench.core.errors import BenchError, FoundSomethingError
from bench.core.place import Place
from bench.core.ranges import parse_indices
from bench.core.record import ExternalBreak, Record
from bench.core.types import ThreatModel
from bench.data import Dataset
from bench.evaluation.confirm import Advance, Judge
from bench.evaluation.verify import inside
from bench.jobs.claims import Claims, read_claims
from bench.jobs.evidence import pack
from bench.jobs.paperwork import check_file, read_row
from bench.jobs.request import pick_device
from bench.jobs.verification import Check, Status
from bench.jobs.verify import Lookup, Opened, open_row
from bench.leaderboard.evidence import Kind

__all__ = ["Added", "Contribution", "Found", "add", "store_found", "stored_external", "today"]


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
class Found:
    """Confirmed breaks of robust examples, and what the row will say about them."""

    entry: ExternalBreak
    breaks: Breaks


def add(
    path: Place,
    contribution: Contribution,
    lookup: Lookup,
    *,
    begin: Callable[[int], None] = lambda total: None,
    advance: Advance = lambda count: None,
) -> Added:
    """Judge claimed breaks, and store those that hold and are new.

    Args:
        path: of the row.
        contribution: what was handed in.
        lookup: where model and data are found.
        begin: called once with the number of inputs that will be classified.
        advance: called after each batch with its number of inputs.

    Raises:
        FoundSomethingError: if the row, its data, its weights or its external evidence are not what the row says.
        BenchError: if a file cannot be read, or a claim is about an example that the row has not.
    """
    record, first = read_row(path)
    _refuse_failed([first])
    if record is None:
        raise FoundSomethingError(first.says)
    opened = open_row(record, lookup)
    _refuse_failed(opened.checks)
    old = stored_external(path, record, opened.dataset)
    claims = read_claims(contribution.file, opened.dataset)
    _refuse_strangers(record, claims)
    begin(len(claims.indices))
    breaks, outside = _judged(opened, claims, lookup, advance)
    robust = set(_robust(record))
    new = breaks.pick(torch.tensor([index in robust for index in breaks.indices.tolist()], dtype=torch.bool).numpy())
    confirmed = set(breaks.indices.tolist())
    if len(new):
        entry = _entry(new, by=contribution.by, source=contribution.source)
        record = store_found(path, record, old, [Found(entry=entry, breaks=new)], opened.dataset)
    return Added(
        path=path,
        record=record,
        new=tuple(new.indices.tolist()),
        known=tuple(sorted(confirmed - robust)),
        refused=tuple(index for index in claims.indices.tolist() if index not in confirmed),
        outside=outside,
    )


def stored_external(path: Place, record: Record, dataset: Dataset) -> Breaks:
    """What others broke so far.

    Raises:
        FoundSomethingError: if the file is not the one that the row was written with.
    """
    breaks, check = check_file(path, record, Kind.EXTERNAL, dataset.shape)
    _refuse_failed([check])
    return breaks if breaks is not None else Breaks.none(dataset.shape)


def store_found(path: Place, record: Record, old: Breaks, found: Sequence[Found], dataset: Dataset) -> Record:
    """Store confirmed breaks with the row, and return the row as it is now.

    Args:
        path: of the row.
        record: the row.
        old: what others broke before.
        found: new breaks, at least one.
        dataset: the split that they belong to.
    """
    packed = pack(merge(old, *(each.breaks for each in found)), dataset, gallery=False)
    amended = replace(
        record,
        external_breaks=(*record.external_breaks, *(each.entry for each in found)),
        external_evidence=packed.link,
    )
    leaderboard.amend(path, amended, packed.content)
    return amended


def today() -> str:
    """The date, as rows have it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")


def _entry(breaks: Breaks, *, by: str, source: str) -> ExternalBreak:
    indices = tuple(breaks.indices.tolist())
    return ExternalBreak(source=source, by=by, date=today(), n=len(indices), indices=indices)


def _judged(opened: Opened, claims: Claims, lookup: Lookup, advance: Advance) -> tuple[Breaks, tuple[int, ...]]:
    if opened.model is None:
        raise ValueError("Expected `opened` to have a model, but it has none.")
    threat_model = ThreatModel.parse(opened.record.threat_model)
    judge = Judge(opened.model.module, threat_model, device=pick_device(lookup.device), advance=advance)
    examples = opened.dataset.examples[claims.indices]
    allowed = inside(claims.points, examples.inputs, threat_model)
    return judge.confirm(claims.points, examples), tuple(claims.indices[~allowed].tolist())


def _robust(record: Record) -> tuple[int, ...]:
    pairs = zip(parse_indices(record.result.indices), record.verdicts(), strict=True)
    return tuple(index for index, robust in pairs if robust)


def _refuse_failed(checks: Sequence[Check]) -> None:
    for check in checks:
        if check.status is Status.FAIL:
            raise FoundSomethingError(f"Nothing was added, since the row does not hold ({check.name}): {check.says}.")


def _refuse_strangers(record: Record, claims: Claims) -> None:
    strangers = set(claims.indices.tolist()) - set(parse_indices(record.result.indices))
    if strangers:
        raise BenchError(
            f"Expected breaks of the row's examples {record.result.indices:.40}, but example {min(strangers)} is none."
        )
