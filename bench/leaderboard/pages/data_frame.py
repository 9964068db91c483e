"""Rows as a table of numbers, for pandas and for spreadsheets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.core.statistics import wilson
from bench.leaderboard.pages.spreadsheet import harmless
from bench.leaderboard.pages.wording import title_of
from bench.leaderboard.store import read_all
from bench.row import Record
from bench.storage import Place, place

if TYPE_CHECKING:
    import pandas

__all__ = ["csv_of", "frame_of", "rows"]

_ATTACK = "n_robust:"


def rows(leaderboard: str | os.PathLike[str] | Place = "leaderboard") -> pandas.DataFrame:
    """The rows of a leaderboard as a data frame, a line each, sorted by where they lie.

    Accuracies are fractions of 1, with the ends of their 95 % intervals. `n_robust:ATTACK` is how many examples
    withstood an attack, and missing where the row has it not; `n_certified`, where any row has a certificate, how many
    nothing breaks by proof. `upper_bound_only` says that a diagnostic failed.

    Args:
        leaderboard: the folder of the rows, or its URL.

    Raises:
        BenchError: if a row is damaged, or does not lie where its identity says.
    """
    root = place(os.fspath(leaderboard)) if isinstance(leaderboard, str | os.PathLike) else leaderboard
    return frame_of(record for _, record in read_all(root))


def frame_of(records: Iterable[Record]) -> pandas.DataFrame:
    """Rows as a data frame, as of `rows`."""
    import pandas  # takes longer to import than most commands

    found = list(records)
    frame = pandas.DataFrame([_values(record) for record in found], columns=list(_COLUMNS))
    for name in ("n_parameters", "epochs"):
        frame[name] = frame[name].astype("Int64")
    for name in dict.fromkeys(attack.name for record in found for attack in record.result.attacks):
        counts = [{each.name: each.n_robust for each in record.result.attacks}.get(name) for record in found]
        frame[_ATTACK + name] = pandas.array(counts, dtype="Int64")
    if any(record.certificate is not None for record in found):
        proved = [sum(record.certified()) if record.certificate is not None else None for record in found]
        frame["n_certified"] = pandas.array(proved, dtype="Int64")
    return frame


def csv_of(records: Iterable[Record]) -> str:
    """Rows as CSV; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    frame = frame_of(records).rename(columns=harmless)
    made = frame.map(lambda value: harmless(value) if isinstance(value, str) else value)
    return str(made.to_csv(index=False, lineterminator="\n"))


_COLUMNS = (
    "suite",
    "dataset",
    "threat_model",
    "model",
    "title",
    "n_examples",
    "indices",
    "n_clean",
    "n_robust",
    "clean",
    "clean_low",
    "clean_high",
    "robust",
    "robust_low",
    "robust_high",
    "upper_bound_only",
    "architecture",
    "n_parameters",
    "epochs",
    "extra_data",
    "preprocessing",
    "seed",
    "engine",
    "precision",
    "device",
    "date",
    "model_digest",
)


def _values(record: Record) -> tuple[object, ...]:
    result, card = record.result, record.card
    total = result.n_examples
    return (
        record.suite,
        record.dataset,
        record.threat_model,
        record.model,
        title_of(record),
        total,
        result.indices,
        result.n_clean,
        record.n_robust,
        result.n_clean / total,
        *wilson(result.n_clean, total),
        record.n_robust / total,
        *record.robust_interval,
        record.upper_bound_only,
        card.architecture if card is not None else None,
        card.n_parameters if card is not None else None,
        card.epochs if card is not None else None,
        card.extra_data if card is not None else None,
        record.preprocessing,
        result.seed,
        record.cost.engine,
        record.cost.precision,
        record.cost.device,
        record.provenance.date,
        record.digests.model,
    )
