"""All numbers of the board as one CSV file, a line for each row; and that file read back."""

from __future__ import annotations

import csv
import io

from bench.core.errors import BenchError
from bench.core.plain_text import plain
from bench.leaderboard.board import Board
from bench.leaderboard.share import clean_share, robust_share
from bench.leaderboard.standing import Entry, Group
from bench.leaderboard.wording import percent, title_of

__all__ = ["COLUMNS", "read_csv", "to_csv"]

COLUMNS = (
    "suite",
    "dataset",
    "threat_model",
    "model",
    "title",
    "rank_best",
    "rank_worst",
    "unranked",
    "n_ranked",
    "n_examples",
    "indices",
    "n_clean",
    "n_robust",
    "clean_percent",
    "robust_percent",
    "robust_low_percent",
    "robust_high_percent",
    "architecture",
    "n_parameters",
    "extra_data",
    "engine",
    "precision",
    "date",
    "model_digest",
)
_ATTACK = "n_robust:"


def to_csv(board: Board) -> str:
    """The whole board; after `COLUMNS`, for every attack the number of examples that withstood it.

    Counts and percentages are of all the row's examples; ranks are on the first `n_ranked`.

    A field that a spreadsheet would take for a formula gets an apostrophe in front; control characters are
    written as escapes.
    """
    attacks = tuple(dict.fromkeys(name for group in board.groups for name in group.attacks))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(_harmless(_ATTACK + name) for name in attacks)])
    for group in board.groups:
        for entry in group.entries:
            counts = {attack.name: str(attack.n_robust) for attack in entry.record.result.attacks}
            writer.writerow(
                [_harmless(value) for value in (*_fields(group, entry), *(counts.get(name, "") for name in attacks))]
            )
    return text.getvalue()


def read_csv(text: str, *, source: str) -> tuple[dict[str, str], ...]:
    """Read back a file of this or an earlier bench; columns that it lacks are absent from its lines.

    Raises:
        BenchError: if it is no CSV, or does not name its rows.
    """
    try:
        lines = tuple(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise BenchError(f"Cannot read {source} as results: {error}.") from error
    if any(line.get(name) is None for line in lines for name in ("suite", "dataset", "threat_model", "model")):
        raise BenchError(f"Cannot read {source} as results: expected columns suite, dataset, threat_model and model.")
    return lines


def _fields(group: Group, entry: Entry) -> tuple[str, ...]:
    record, card = entry.record, entry.record.card
    robust = robust_share(record)
    low, high = robust.interval
    return (
        group.suite,
        group.dataset,
        group.threat_model,
        record.model,
        title_of(record),
        str(entry.rank.best) if entry.rank is not None else "",
        str(entry.rank.worst) if entry.rank is not None else "",
        "; ".join(entry.unranked),
        str(group.n_ranked),
        str(record.result.n_examples),
        record.result.indices,
        str(record.result.n_clean),
        str(record.n_robust),
        percent(clean_share(record).fraction),
        percent(robust.fraction),
        percent(low),
        percent(high),
        card.architecture if card is not None else "",
        str(card.n_parameters) if card is not None else "",
        (card.extra_data or "") if card is not None else "",
        record.cost.engine,
        record.cost.precision,
        record.provenance.date,
        record.digests.model,
    )


def _harmless(value: str) -> str:
    text = plain(" ".join(value.split()))
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
