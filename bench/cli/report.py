"""`bench report`: one file about one row, for a reviewer or a manager."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_LEADERBOARD, DatasetFilter, Leaderboard, SuiteFilter, ThreatModelFilter
from bench.cli.output import say
from bench.cli.rows import Filter, locate
from bench.core.errors import BenchError
from bench.storage import write_durably

__all__ = ["report"]


def report(
    row: Annotated[str, typer.Argument(metavar="ROW", help="The path of a row, or a model's name.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.html", help="Where to write it; by default MODEL.html here.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="A row to set beside it; once for each of several.")
    ] = None,
    dataset: DatasetFilter = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a report on a row: what was run and found, doubts, pictures, curves, how to check it.

    One HTML file that needs no network. No attack is run and no model is asked.

    \b
    Examples:
      bench report aw-net --dataset cifar10 --suite adaptive-v2
      bench report aw-net for-review.html --against pgd-at --against trades --dataset cifar10 --suite standard-v1
      bench report leaderboard/standard-v1/digits/Linf-1_10/pgd-at.json
    """
    from bench.leaderboard.pages import report as page_of

    wanted = Filter(dataset=dataset, threat_model=threat_model, suite=suite)
    path = locate(row, wanted, leaderboard)
    target = file if file is not None else Path(f"{path.stem}.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise BenchError(f"Expected the name of a file that ends in .html, but got {str(target)!r:.80}.")
    if target.exists() and not force:
        raise BenchError(f"There is a file {target}; --force replaces it.")
    text = page_of(path, [locate(each, wanted, leaderboard) for each in against or ()])
    write_durably(target, text.encode())
    say(f"Report on {path}: {target}")
