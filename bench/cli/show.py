"""`bench show`: rows in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import DEFAULT_LEADERBOARD, DatasetFilter, Json, Leaderboard, SuiteFilter, ThreatModelFilter
from bench.cli.output import json_text, say
from bench.cli.rows import Filter, select
from bench.cli.tables import row_table, rows_table
from bench.row.schema import to_json

__all__ = ["show"]


def show(
    row: Annotated[str | None, typer.Argument(metavar="[ROW]", help="A model's name, or the path of a row.")] = None,
    dataset: DatasetFilter = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    as_json: Json = False,
) -> None:
    """Show the rows of a leaderboard, or one row in full.

    \b
    Examples:
      bench show
      bench show aw-net --dataset cifar10
      bench show leaderboard/standard-v1/cifar10/Linf-8_255/aw-net.json --json
    """
    wanted = Filter(dataset=dataset, threat_model=threat_model, suite=suite)
    records = select(row, wanted, leaderboard)
    if as_json:
        say(json_text([to_json(record) for record in records], allow_nan=False))
    elif row is not None:
        say("\n\n".join(row_table(record) for record in records))
    else:
        say(rows_table(records))
