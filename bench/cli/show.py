"""`bench show`: rows in the terminal, or for a paper and other programs."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated

import typer

from bench.cli.layout import table
from bench.cli.options import DEFAULT_LEADERBOARD, DatasetFilter, Json, Leaderboard, SuiteFilter, ThreatModelFilter
from bench.cli.output import json_text, say
from bench.cli.rows import Filter, select
from bench.cli.tables import row_table, rows_table
from bench.row import Record, to_json

__all__ = ["Format", "show"]


class Format(str, enum.Enum):
    """How rows are shown."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


def show(
    row: Annotated[str | None, typer.Argument(metavar="[ROW]", help="A model's name, or the path of a row.")] = None,
    dataset: DatasetFilter = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    form: Annotated[
        Format, typer.Option("--format", help="CSV has all numbers and JSON all there is; LaTeX takes booktabs.")
    ] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show the rows of a leaderboard, or one row in full.

    \b
    Examples:
      bench show
      bench show aw-net --dataset cifar10
      bench show --dataset cifar10 --suite standard-v1 --format latex
      bench show leaderboard/standard-v1/cifar10/Linf-8_255/aw-net.json --json
    """
    wanted = Filter(dataset=dataset, threat_model=threat_model, suite=suite)
    say(_shown(select(row, wanted, leaderboard), Format.JSON if as_json else form, in_full=row is not None))


def _shown(records: Sequence[Record], form: Format, *, in_full: bool) -> str:
    if form is Format.JSON:
        return json_text([to_json(record) for record in records])
    if form is Format.CSV:
        from bench.leaderboard.pages import csv_of

        return csv_of(records).removesuffix("\n")
    from bench.cli.formats import latex_table, markdown_table

    made = {Format.TABLE: table, Format.MARKDOWN: markdown_table, Format.LATEX: latex_table}[form]
    if in_full:
        return "\n\n".join(row_table(record, form=made) for record in records)
    return rows_table(records, form=made)
