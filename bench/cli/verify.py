"""`bench verify`: rows, judged again from their evidence."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    ClassNames,
    DataDir,
    Device,
    Json,
    Leaderboard,
    Quiet,
    RowDataset,
    RowModel,
    SuiteFilter,
    ThreatModelFilter,
    Weights,
    WeightsKey,
)
from bench.cli.output import json_text, say
from bench.cli.progress import JudgingDisplay
from bench.cli.rows import Filter, locate, own_data, select
from bench.cli.verify_text import (
    added_text,
    added_values,
    attacked_text,
    attacked_values,
    transferred_text,
    transferred_values,
    verification_text,
    verification_values,
)
from bench.core.errors import BenchError, FoundSomethingError
from bench.row import Level
from bench.storage import Place

if TYPE_CHECKING:
    from bench.jobs.lookup import Lookup

__all__ = ["verify"]


def verify(
    row: Annotated[str | None, typer.Argument(metavar="[ROW]", help="The path of a row, or a model's name.")] = None,
    dataset: RowDataset = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    model: RowModel = None,
    weights: Weights = None,
    weights_key: WeightsKey = None,
    add: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge breaks that somebody found, and store those that hold.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="With --add: who found them.")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --add: the method or the page that they come from.")
    ] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Try the rows of the board on the stored breaks of all other models.")
    ] = False,
    attack: Annotated[
        bool, typer.Option("--attack", help="Attack what the row calls robust by other means, and store what falls.")
    ] = False,
    closest: Annotated[
        str | None, typer.Option(metavar="SHARE", help="With --attack: only those of smallest margin, such as 5%.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --attack: go on for 10m or 1h; by default one round.")
    ] = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    device: Device = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a row again from what lies beside it: no attack is run, unless --attack asks for a second opinion.

    Exit code 1 says that something in the row does not hold, and what.

    \b
    Examples:
      bench verify pgd-at --dataset cifar10
      bench verify leaderboard/standard-v1/digits/Linf-1_10/pgd-at.json --json
      bench verify net-make-1a2b3c4d --model net.py:make --weights net.pth
      bench verify pgd-at --dataset cifar10 --add found.npz --by "A. Reader" --source https://example.org
      bench verify --transfer
      bench verify pgd-at --dataset cifar10 --attack --closest 5% --budget 10m
    """
    from bench.jobs.lookup import Lookup

    own = any(each is not None for each in (model, weights, weights_key))
    _refuse_misfits(row, add=add, by=by, source=source, transfer=transfer, own=own)
    if attack and (add is not None or transfer):
        raise BenchError("--attack, --add and --transfer are three ways to find breaks; ask for one.")
    if not attack and (closest is not None or budget is not None):
        raise BenchError("--closest and --budget are about --attack; add it.")
    own_dataset = own_data(dataset)
    lookup = Lookup(
        model=model,
        weights=weights,
        weights_key=weights_key,
        dataset=dataset if own_dataset else None,
        data_dir=data_dir,
        class_names=class_names,
        device=device,
    )
    wanted = Filter(dataset=None if own_dataset else dataset, threat_model=threat_model, suite=suite)
    if transfer:
        _transfer(leaderboard, lookup, wanted, as_json=as_json, quiet=quiet)
        return
    path = locate(row or "", wanted, leaderboard)
    if attack:
        _attack(path, lookup, (closest, budget), as_json=as_json, quiet=quiet)
    elif add is not None:
        _add(path, lookup, (add, by or "", source or add.name), as_json=as_json, quiet=quiet)
    else:
        _verify(path, lookup, as_json=as_json, quiet=quiet)


def _refuse_misfits(
    row: str | None,
    *,
    add: Path | None,
    by: str | None,
    source: str | None,
    transfer: bool,
    own: bool,
) -> None:
    if transfer and (row is not None or add is not None or own):
        raise BenchError(
            "--transfer tries rows of the board, with their own weights; leave ROW, --add, --model, --weights"
            " and --weights-key out. --dataset, --suite and --threat-model say which rows."
        )
    if not transfer and row is None:
        raise BenchError("Say which row: a path or a model's name. `bench show` lists them; --transfer tries all.")
    if add is None and (by is not None or source is not None):
        raise BenchError("--by and --source say where breaks come from that --add FILE holds; name the file.")
    if add is not None and not (by or "").strip():
        raise BenchError("Say who found the breaks: --by NAME. It becomes part of the row.")


def _verify(path: Place, lookup: Lookup, *, as_json: bool, quiet: bool) -> None:
    from bench.jobs.verify import verify as job

    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), JudgingDisplay(quiet=quiet) as display:
        found = job(path, lookup, begin=lambda total: display.begin("judged", total), advance=display.advance)
    say(json_text(verification_values(found)) if as_json else verification_text(found))
    if found.failed:
        failed = ", ".join(check.what for check in found.checks if check.level is Level.FAIL)
        raise FoundSomethingError(f"Row {path} does not hold: {failed}.")


def _add(path: Place, lookup: Lookup, handed_in: tuple[Path, str, str], *, as_json: bool, quiet: bool) -> None:
    from bench.jobs.contribute import Contribution
    from bench.jobs.contribute import add as job

    file, by, source = handed_in
    with contextlib.redirect_stdout(sys.stderr), JudgingDisplay(quiet=quiet) as display:
        contribution = Contribution(file=file, by=by, source=source)
        added = job(
            path,
            contribution,
            lookup,
            begin=lambda total: display.begin("judged", total),
            advance=display.advance,
            notify=display.notify,
        )
    say(json_text(added_values(added)) if as_json else added_text(added))
    if not added.new and not added.known:
        raise FoundSomethingError(f"None of the {len(added.refused)} claimed breaks holds; the row is unchanged.")


def _attack(path: Place, lookup: Lookup, asked: tuple[str | None, str | None], *, as_json: bool, quiet: bool) -> None:
    from bench.jobs.durations import parse_duration
    from bench.jobs.second_opinion import attack as job
    from bench.jobs.second_opinion import parse_share

    closest, budget = asked
    share = parse_share(closest or "100%")
    seconds = parse_duration(budget) if budget is not None else None
    with contextlib.redirect_stdout(sys.stderr), JudgingDisplay(quiet=quiet) as display:
        found = job(
            path,
            lookup,
            closest=share,
            budget=seconds,
            begin=display.begin,
            advance=display.advance,
            notify=display.notify,
        )
    say(json_text(attacked_values(found)) if as_json else attacked_text(found))


def _transfer(root: Place, lookup: Lookup, wanted: Filter, *, as_json: bool, quiet: bool) -> None:
    from bench.jobs.transfer import transfer as job

    if wanted != Filter():
        select(None, wanted, root)  # raises where there is none
    with contextlib.redirect_stdout(sys.stderr), JudgingDisplay(quiet=quiet) as display:
        results = job(
            root, lookup, wanted=wanted.passes, begin=display.begin, advance=display.advance, notify=display.notify
        )
    say(json_text([transferred_values(each) for each in results]) if as_json else transferred_text(results))
