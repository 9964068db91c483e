"""Try every model of a board on the stored breaks of all others: forward passes alone, cheap, and sometimes enough.

What it finds is no part of a suite, since it depends on which other models there are. It is stored with the row as
breaks by others, and lowers its headline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench import leaderboard
from bench.core.errors import BenchError, FoundSomethingError
from bench.core.types import ThreatModel
from bench.data import Dataset
from bench.evaluation import Advance, Judge
from bench.jobs.contribute import FoundBreaks, robust_in, store_found, stored_external
from bench.jobs.evidence import clean_inputs
from bench.jobs.lookup import Lookup
from bench.jobs.request import pick_device
from bench.jobs.row_files import check_file
from bench.jobs.verify import load_data_of, open_row
from bench.leaderboard.store import EvidenceKind
from bench.row import ExternalBreak, Level, Record, row_digest, same_function
from bench.row.arrays import Breaks, merge_breaks
from bench.storage import Place

__all__ = ["Transferred", "transfer"]

_BY = "bench verify --transfer"


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """What became of one row.

    Args:
        path: of the row.
        record: the row as it is now.
        n_tried: stored breaks of others that were tried.
        found: those that broke what was robust, by the row that they come from.
        skipped: why the row was not tried; empty where it was.
    """

    path: Place
    record: Record
    n_tried: int = 0
    found: tuple[ExternalBreak, ...] = ()
    skipped: str = ""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row with its stored breaks, as they were at the start, so that the order of rows changes nothing."""

    path: Place
    record: Record
    breaks: Breaks


def _question(record: Record) -> tuple[str, str]:
    """Rows with the same answer questions about the same inputs."""
    return record.digests.dataset, record.threat_model


def transfer(
    root: Place,
    lookup: Lookup,
    *,
    wanted: Callable[[Record], bool] = lambda record: True,
    begin: Callable[[str, int], None] = lambda name, total: None,
    advance: Advance = lambda count: None,
    notify: Callable[[str], None] = lambda line: None,
) -> tuple[Transferred, ...]:
    """Try rows of a board on the stored breaks of other models for the same data and threat model.

    Args:
        root: folder of the rows.
        lookup: where data is found, and the device.
        wanted: which rows are tried; breaks of all others count.
        begin: called for every row with its name and the number of inputs that will be classified.
        advance: called after each batch with its number of inputs.
        notify: called before waiting for another writer, with a line that says for whom.

    Raises:
        FoundSomethingError: if a row's evidence is not what the row says; nothing is stored then.
        WorkFailedError: if a row was replaced meanwhile, or another writer holds the board for too long.
        BenchError: if there are no rows, or one cannot be read.
    """
    records = tuple(leaderboard.read_all(root))
    if not records:
        raise BenchError(f"No rows in {root}. `bench run` writes rows; --leaderboard names another folder.")
    questions = {_question(record) for _, record in records if wanted(record)}
    datasets: dict[tuple[str, str | None], Dataset] = {}
    rows = []
    results: list[Transferred] = []
    for path, record in records:
        if _question(record) not in questions:
            continue
        try:
            dataset = _dataset(record, lookup, datasets)
        except BenchError as error:
            if wanted(record):
                results.append(Transferred(path=path, record=record, skipped=str(error)))
            continue
        rows.append(_Row(path=path, record=record, breaks=_stored(path, record, dataset)))
    results += [_try(row, rows, lookup, begin, advance, notify) for row in rows if wanted(row.record)]
    return tuple(sorted(results, key=lambda result: result.path))


def _try(
    target: _Row,
    rows: Sequence[_Row],
    lookup: Lookup,
    begin: Callable[[str, int], None],
    advance: Advance,
    notify: Callable[[str], None],
) -> Transferred:
    robust = set(robust_in(target.record))
    sources = [row for row in rows if _is_source(row, target) and robust & set(row.breaks.indices.tolist())]
    if not sources:
        return Transferred(path=target.path, record=target.record)
    begin(target.record.model, sum(len(robust & set(row.breaks.indices.tolist())) for row in sources))
    try:
        opened = open_row(target.record, lookup)
    except BenchError as error:
        return Transferred(path=target.path, record=target.record, skipped=str(error))
    if not opened.usable or opened.model is None:
        says = next(check.evidence for check in opened.checks if check.level is Level.FAIL)
        return Transferred(path=target.path, record=target.record, skipped=says)
    threat_model = ThreatModel.parse(target.record.threat_model)
    judge = Judge(
        opened.model.module,
        threat_model,
        device=pick_device(lookup.device),
        seed=target.record.result.seed,
        advance=advance,
    )
    found: list[FoundBreaks] = []
    n_tried = 0
    for source in sources:
        part = source.breaks.pick(np.isin(source.breaks.indices, sorted(robust)))
        n_tried += len(part)
        breaks = _hits(part, opened.dataset, judge)
        if len(breaks):
            name = f"transfer from {source.record.model}, {source.record.suite}"
            found.append(FoundBreaks(breaks=breaks, source=name, by=_BY, row=row_digest(source.record)))
            robust -= set(breaks.indices.tolist())
    if not found:
        return Transferred(path=target.path, record=target.record, n_tried=n_tried)
    record, entries = store_found(target.path, target.record, found, opened.dataset, notify=notify)
    return Transferred(path=target.path, record=record, n_tried=n_tried, found=entries)


def _is_source(row: _Row, target: _Row) -> bool:
    """Whether a row is of the same question about another model: other weights, or the same in another function."""
    others, own = row.record, target.record
    other = others.digests.model != own.digests.model or same_function(others.fingerprint, own.fingerprint) is False
    return _question(row.record) == _question(target.record) and other


def _hits(part: Breaks, dataset: Dataset, judge: Judge) -> Breaks:
    """Which of another model's breaks break this one too."""
    if not len(part):
        return Breaks.none(part.shape)
    points = torch.from_numpy(part.inputs(clean_inputs(part, dataset)))
    return judge.confirm(points, dataset.examples[torch.from_numpy(part.indices)])


def _stored(path: Place, record: Record, dataset: Dataset) -> Breaks:
    """The row's own breaks and those by others; none where it was written without evidence."""
    own, check = check_file(path, record, EvidenceKind.OWN, dataset.shape)
    if check.level is Level.FAIL:
        raise FoundSomethingError(f"Nothing was tried, since {path} does not hold ({check.what}): {check.evidence}.")
    parts = [stored_external(path, record, dataset), *([own] if own is not None else [])]
    return merge_breaks(*parts)


def _dataset(record: Record, lookup: Lookup, known: dict[tuple[str, str | None], Dataset]) -> Dataset:
    key = record.dataset, record.preprocessing
    if key not in known:
        known[key] = load_data_of(record, lookup)
    return known[key]
