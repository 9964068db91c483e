"""`bench check`: is the board still true?"""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    ClassNames,
    DataDir,
    Json,
    Leaderboard,
    Quiet,
    RowDataset,
    RowModel,
    ThreatModelFilter,
    Weights,
    WeightsKey,
)
from bench.cli.output import say
from bench.cli.reports import as_github, as_json, as_junit, as_table, exit_code
from bench.cli.rows import own_data
from bench.core.plain_text import plain
from bench.row import CheckResult
from bench.storage import Place, write_durably

__all__ = ["FindingsFormat", "check"]


class FindingsFormat(str, enum.Enum):
    """How findings are shown."""

    TABLE = "table"
    JSON = "json"
    GITHUB = "github"


def check(
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROW]...", help="Attack or replay these alone: models, or paths."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Hold the rows against those at a git revision.")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Verify stored breaks on the present weights.")] = False,
    probe: Annotated[
        int | None, typer.Option(metavar="N", help="Run each row's suite again on its first N examples.")
    ] = None,
    model: RowModel = None,
    weights: Weights = None,
    weights_key: WeightsKey = None,
    dataset: RowDataset = None,
    threat_model: ThreatModelFilter = None,
    suite: Annotated[str | None, typer.Option(metavar="NAME", help="Attack or replay only this suite.")] = None,
    min_clean: Annotated[
        float | None,
        typer.Option(metavar="X", help="Fail unless the interval of clean accuracy lies above X, such as 0.7."),
    ] = None,
    min_robust: Annotated[
        float | None,
        typer.Option(metavar="X", help="Likewise for robust accuracy: of the probe, else of the rows."),
    ] = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Where to probe: cpu, cuda, cuda:1.")] = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    checkpoints: Annotated[
        Path, typer.Option(metavar="DIR", help="Weights and manifests, checked where the folder exists.")
    ] = Path("checkpoints"),
    show: Annotated[FindingsFormat, typer.Option("--format", help="How to show it.")] = FindingsFormat.TABLE,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML.")] = None,
    as_json_too: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check rows, pages, suites and checkpoints; in seconds, without torch.

    Exit code 1 where something was found: a row that contradicts itself, its suite or its page, weights that are not
    their manifest's, a regression. 2 where a file cannot be read or lies wrong.

    --against holds rows to their past: the same weights must give the same result, better is as suspicious as worse;
    new weights may not be significantly worse. --replay classifies the stored breaks again. --probe runs the attacks
    again, and tells a changed model, a changed attack and mere rounding apart.

    \b
    Examples:
      bench check
      bench check --against origin/main --format github
      bench check pgd-at --dataset digits --probe 64 --junit report.xml
      bench check my-net --probe 64 --model net.py:make --weights new.pth --min-robust 0.35
      bench check --probe 64 --model net.py:make --weights net.pth --dataset folder:images
    """
    from bench.cli.progress import RunDisplay
    from bench.jobs.check import CheckRequest
    from bench.jobs.check import check as job
    from bench.jobs.lookup import Lookup

    own = own_data(dataset)
    request = CheckRequest(
        leaderboard=leaderboard,
        checkpoints=checkpoints,
        rows=tuple(rows or ()),
        dataset=None if own else dataset,
        threat_model=threat_model,
        suite=suite,
        revision=against,
        replay=replay,
        probe=probe,
        lookup=Lookup(
            model=model,
            weights=weights,
            weights_key=weights_key,
            dataset=dataset if own else None,
            data_dir=data_dir,
            class_names=class_names,
            device=device,
        ),
        min_clean=min_clean,
        min_robust=min_robust,
    )
    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), RunDisplay(quiet=quiet) as display:
        found = job(request, notify=display.notify, on_progress=display.update)
    results = [replace(each, subject=plain(each.subject), evidence=plain(each.evidence)) for each in found]
    if junit is not None:
        write_durably(junit, as_junit(results).encode(errors="backslashreplace"))
    say(_shown(results, FindingsFormat.JSON if as_json_too else show, leaderboard))
    raise typer.Exit(exit_code(results))


def _shown(results: Sequence[CheckResult], show: FindingsFormat, leaderboard: Place) -> str:
    if show is FindingsFormat.JSON:
        return as_json(results)
    return as_github(results, leaderboard) if show is FindingsFormat.GITHUB else as_table(results)
