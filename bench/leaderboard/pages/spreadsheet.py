"""All numbers of the board as one CSV file, a line for each row; and that file read back."""

from __future__ import annotations

import io
import warnings

from bench.core.errors import BenchError
from bench.core.plain_text import first_line, plain
from bench.leaderboard.pages.board import Board
from bench.leaderboard.pages.share import certified_share, clean_share, robust_share
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.pages.wording import percent, title_of

__all__ = ["COLUMNS", "harmless", "read_csv", "to_csv"]

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
    "wra_percent",
    "architecture",
    "n_parameters",
    "epochs",
    "extra_data",
    "engine",
    "precision",
    "date",
    "model_digest",
)
_ATTACK = "n_robust:"
_CERTIFIED = "n_certified"
_KEY = ("suite", "dataset", "threat_model", "model")


def to_csv(board: Board) -> str:
    """The whole board; after `COLUMNS`, for every attack the number of examples that withstood it.

    Counts and percentages are of all the row's examples; ranks are on the first `n_ranked`. Where a row has a
    certificate, a last column counts the examples that nothing breaks by proof.

    A field that a spreadsheet would take for a formula gets an apostrophe in front; control characters are
    written as escapes.
    """
    # Most commands need no table, and pandas takes longer to import than they do.
    import pandas

    attacks = tuple(dict.fromkeys(name for group in board.groups for name in group.attacks))
    proofs = [_CERTIFIED] if any(entry.certified is not None for entry in board.entries) else []
    lines = []
    for group in board.groups:
        for entry in group.entries:
            counts = {attack.name: str(attack.n_robust) for attack in entry.record.result.attacks}
            found = certified_share(entry.record)
            proved = ["" if found is None else str(found.count) for _ in proofs]
            lines.append((*_fields(group, entry), *(counts.get(name, "") for name in attacks), *proved))
    columns = [*COLUMNS, *(_ATTACK + name for name in attacks), *proofs]
    frame = pandas.DataFrame(lines, columns=columns, dtype=str)
    return str(frame.map(harmless).rename(columns=harmless).to_csv(index=False, lineterminator="\n"))


def read_csv(text: str, *, source: str) -> tuple[dict[str, str], ...]:
    """Read back a file of this or an earlier bench; columns that it lacks are absent from its lines.

    Raises:
        BenchError: if it is no CSV, or does not name its rows.
    """
    import pandas

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # a line longer than the first
            frame = pandas.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, pandas.errors.ParserWarning) as error:
        raise BenchError(f"Cannot read {source} as results: {first_line(error)}.") from error
    if not set(_KEY) <= set(frame.columns) or (frame[list(_KEY)] == "").any(axis=None):
        raise BenchError(f"Cannot read {source} as results: expected columns suite, dataset, threat_model and model.")
    return tuple({str(name): str(value) for name, value in line.items()} for line in frame.to_dict("records"))


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
        percent((clean_share(record).fraction + robust.fraction) / 2),
        card.architecture if card is not None else "",
        str(card.n_parameters) if card is not None else "",
        str(card.epochs or "") if card is not None else "",
        (card.extra_data or "") if card is not None else "",
        record.cost.engine,
        record.cost.precision,
        record.provenance.date,
        record.digests.model,
    )


def harmless(value: str) -> str:
    """Text that no spreadsheet takes for a formula, on one line."""
    text = plain(" ".join(value.split()))
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
