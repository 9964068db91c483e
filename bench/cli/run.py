"""`bench run`: attack a model, check every claimed break, write a row."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import wrapped
from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    MODEL_HELP,
    Address,
    ClassNames,
    Crop,
    DataDir,
    Dataset,
    Device,
    Devices,
    Engine,
    Executor,
    Force,
    Indices,
    Interpolation,
    JournalDir,
    Json,
    Leaderboard,
    Name,
    NoRow,
    Queries,
    Quiet,
    Resize,
    Stochastic,
    Suite,
    Surrogate,
    ThreatModel,
    Weights,
    WeightsKey,
    Workers,
)
from bench.cli.output import json_text, remark, say
from bench.cli.tables import row_table
from bench.core.errors import BenchError
from bench.core.plain_text import counted, one_line, reasons_text

if TYPE_CHECKING:
    from bench.jobs.run import Ran
    from bench.jobs.shards import ShardDone

__all__ = ["UNFINISHED", "run", "show_runs", "tell_of_unfinished"]

DEFAULT_SUITE = "standard-v1"
"""What the field reports; `swift-v1` is for whole test sets."""
UNFINISHED = 3
"""Exit code where something failed after the attacks."""
_DEPTH = 3  # folders between a board and its rows


def run(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "--models",
            metavar="NAME",
            help=f"{MODEL_HELP}; once for each of several,"
            " or all, which is every one with a checkpoint for the dataset.",
        ),
    ],
    dataset: Dataset,
    weights: Weights = None,
    weights_key: WeightsKey = None,
    name: Name = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    resize: Resize = None,
    crop: Crop = None,
    interpolation: Interpolation = None,
    threat_model: ThreatModel = None,
    suite: Suite = DEFAULT_SUITE,
    stochastic: Stochastic = False,
    queries: Queries = None,
    surrogate: Surrogate = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="The first N examples; by default all on a GPU, 256 on a CPU.")
    ] = None,
    indices: Indices = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="As many of the examples as fit: 90s, 10m, 1h30m; a short probe predicts it."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the attacks' random draws.")] = 0,
    device: Device = None,
    engine: Engine = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|measured|float32|bf16+float32",
            help="What the fast engine searches in: auto goes by model and device, measured by a stopwatch."
            " Verdicts are always float32.",
        ),
    ] = "auto",
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Most examples computed at once.")] = None,
    executor: Executor = "local",
    workers: Workers = None,
    devices: Devices = None,
    address: Address = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts, and no row: `bench merge` writes it, to the byte."),
    ] = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    journal: JournalDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
    no_row: NoRow = False,
) -> None:
    """Evaluate a model and write its row.

    Interrupt it at any time: the same command goes on where it stopped.

    \b
    Examples:
      bench run --model aw-net --dataset cifar10 --samples 64
      bench run --model net.py:make --weights net.pth --name my-net --dataset cifar10 --threat-model Linf:2/255
      bench run --model pgd-at --dataset digits --suite quick-v1 --json
      bench run --model pgd-at --dataset cifar10 --budget 10m
      bench run --model pgd-at --dataset cifar10 --devices cuda:0,cuda:1
      bench run --models all --dataset cifar10 --workers 4
      bench run --model pgd-at --dataset cifar10 --shard 1/8 --journal shards
      bench run --model pgd-at --dataset cifar10 --executor ray --address auto
    """
    from bench.cli.progress import RunDisplay
    from bench.data import Preprocessing
    from bench.jobs.durations import parse_duration
    from bench.jobs.run import RunRequest
    from bench.jobs.run import run as job
    from bench.jobs.several import expand, requests_for, run_several
    from bench.jobs.shards import Shard, run_shard
    from bench.jobs.workers import Workers, start_workers

    asked = Workers(
        executor=executor,
        count=workers,
        devices=tuple(name.strip() for name in devices.split(",")) if devices is not None else (),
        address=address,
    )
    asked.check(device)
    part = Shard.parse(shard) if shard is not None else None
    names = expand(model, dataset)
    request = RunRequest(
        model=names[0],
        weights=weights,
        weights_key=weights_key,
        name=name,
        dataset=dataset,
        data_dir=data_dir,
        class_names=class_names,
        preprocessing=Preprocessing.asked(resize, crop, interpolation),
        threat_model=threat_model,
        suite=suite,
        stochastic=stochastic,
        queries=queries,
        surrogates=tuple(surrogate or ()),
        samples=samples,
        indices=indices,
        budget=parse_duration(budget) if budget is not None else None,
        seed=seed,
        device=asked.driver_device(device),
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        leaderboard=leaderboard,
        journal=journal,
        force=force,
        no_row=no_row,
        command=("bench", *sys.argv[1:]),
    )
    requests = requests_for(request, names)
    found: list[Ran | BenchError] = []
    # A user's model, and libraries, may print; stdout is for the result alone.
    with (
        contextlib.redirect_stdout(sys.stderr),
        RunDisplay(quiet=quiet) as display,
        start_workers(asked, device=device) as pool,
    ):
        if part is not None:
            shards = [
                run_shard(each, part, notify=display.notify, on_progress=display.update, pool=pool) for each in requests
            ]
        elif len(requests) == 1:
            found = [job(requests[0], notify=display.notify, on_progress=display.update, pool=pool)]
        else:
            found = run_several(requests, notify=display.notify, on_progress=display.update, pool=pool)
    if part is not None:
        _show_shards(shards, as_json=as_json)
    else:
        show_runs(names, found, as_json=as_json)


def _show_shards(shards: Sequence[ShardDone], *, as_json: bool) -> None:
    for done in shards:
        where = str(done.journal) if done.journal is not None else None
        value = {"shard": str(done.shard), "examples": f"{done.rows.start}:{done.rows.stop}", "journal": where}
        text = (
            f"Shard {done.shard} is done: {where or 'it has no examples'}. When all are, `bench merge` writes the row."
        )
        say(json_text(value, indent=None) if as_json else text)


def show_runs(names: Sequence[str], found: Sequence[Ran | BenchError], *, as_json: bool) -> None:
    """Print what became of each model, and exit as the worst of them does.

    Args:
        names: of the models.
        found: what was found of each, or why nothing was.
        as_json: one document; a list where there are several models.
    """
    runs = [each for each in found if not isinstance(each, BenchError)]
    errors = [(name, each) for name, each in zip(names, found, strict=True) if isinstance(each, BenchError)]
    for ran in runs:
        for warning in ran.warnings:
            remark(f"Warning: {warning}")
    values = [_as_value(ran) for ran in runs]
    shown = values[0] if len(names) == 1 and values else values
    try:
        texts = [_as_text(ran) for ran in runs] + [_next(ran) for ran in runs if len(names) == 1]
        say(json_text(shown) if as_json else "\n\n".join(text for text in texts if text))
    finally:
        for ran in runs:
            tell_of_unfinished(ran.record.model, ran.record.unfinished)
        for name, error in errors:
            remark(f"bench: {one_line(f'{name}: {error}')}")
    codes = [error.exit_code for _, error in errors] + [UNFINISHED for ran in runs if ran.record.unfinished]
    if codes:
        raise typer.Exit(max(codes))


def tell_of_unfinished(name: str, reasons: Mapping[str, str]) -> None:
    """Print one line about what failed after the attacks, where something did."""
    if reasons:
        told = f"{name}: not run: {reasons_text(reasons)}. All else is kept; the same command does the rest."
        remark(f"bench: {one_line(told)}")


def _as_value(ran: Ran) -> dict[str, object]:
    from bench.row import to_json

    return {
        "outcome": ran.outcome.value,
        "path": str(ran.path) if ran.path is not None else None,
        "differences": list(ran.differences),
        "n_before": ran.n_before,
        "notice": ran.notice,
        "warnings": list(ran.warnings),
        "not_run": ran.record.unfinished,
        "plan": {
            "n_examples": ran.extent.n_examples,
            "n_asked": ran.extent.n_asked,
            "budget_seconds": ran.extent.budget_seconds,
            "predicted_seconds": ran.extent.predicted_seconds,
            "probe_seconds": ran.extent.probe_seconds,
        },
        "row": to_json(ran.record),
    }


def _as_text(ran: Ran) -> str:
    return "\n\n".join(part for part in (ran.notice, row_table(ran.record), wrapped(_what_became(ran))) if part)


def _next(ran: Ran) -> str:
    """What to do with a row, each thing as a command to copy; nothing where none was stored."""
    if ran.path is None or ran.outcome.value == "differs":
        return ""
    board = ran.path.parents[_DEPTH]
    elsewhere = "" if board == DEFAULT_LEADERBOARD else f" --leaderboard {shlex.quote(str(board))}"
    commands = {
        f"bench verify {shlex.quote(str(ran.path))}": "judges its breaks again, without an attack",
        f"bench report {shlex.quote(str(ran.path))}": "makes a page of it for a reviewer",
        "bench doctor": "asks all that can be asked of the model, with the options of this run",
        f"bench publish{elsewhere}": "makes the board's pages",
    }
    commands |= _on_all(ran)
    return "\n".join(["Next:", *(f"  {command}\n    {what}" for command, what in commands.items())])


def _on_all(ran: Ran) -> dict[str, str]:
    """What would tell of the whole test set, and in what time; nothing where that was done, or not by AutoAttack."""
    from bench.jobs.durations import in_words
    from bench.jobs.extent import seconds_of_swift

    if ran.record.suite != DEFAULT_SUITE or ran.n_split <= ran.record.result.n_examples:
        return {}
    seconds = seconds_of_swift(ran.record, ran.n_split)
    took = f", in about {in_words(seconds)} of one process" if seconds is not None else ""
    command = f"bench run --suite swift-v1 --samples {ran.n_split}"
    return {command: f"tells of all {ran.n_split:,} test images, with the options of this run{took}"}


def _what_became(ran: Ran) -> str:
    before = ran.n_before or 0
    shorter = ran.record.result.n_examples < before
    way_out = f"on {counted(before, 'example')}" if shorter else "--force replaces it"
    what = {
        "written": f"Row written: {ran.path}",
        "replaced": f"Row replaced: {ran.path}",
        "extended": f"Row extended from {counted(before, 'example')}, with which it agrees: {ran.path}",
        "reproduces": f"Reproduces the row in {ran.path}",
        "completed": f"Reproduces the row in {ran.path}, which lacked a part of it and now has it",
        "differs": f"The row in {ran.path} is kept, since it differs ({way_out}):",
        "sample": "No row was written.",
        "no-row": "No row was written, as --no-row asks.",
    }[ran.outcome.value]
    lines = [what, *(f"  {difference}" for difference in ran.differences)]
    if ran.outcome.value in ("written", "replaced", "extended", "completed") and ran.record.evidence is not None:
        breaks = counted(ran.record.evidence.n_breaks, "break")
        lines.append(f"Evidence beside it: {breaks}, which `bench verify` judges again")
    return "\n".join(lines)
