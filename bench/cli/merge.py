"""`bench merge`: put the shards of a run together and write its row."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    ClassNames,
    Crop,
    DataDir,
    Dataset,
    Device,
    Engine,
    Force,
    Indices,
    Interpolation,
    JournalDir,
    Json,
    Leaderboard,
    Model,
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
)
from bench.cli.run import show_runs

__all__ = ["merge"]


def merge(
    model: Model,
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
    suite: Suite = "standard-v1",
    stochastic: Stochastic = False,
    queries: Queries = None,
    surrogate: Surrogate = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="As the shards had it.")] = None,
    indices: Indices = None,
    seed: Annotated[int, typer.Option(metavar="N", help="As the shards had it.")] = 0,
    device: Device = None,
    engine: Engine = None,
    precision: Annotated[str, typer.Option(metavar="auto|float32|bf16+float32", help="As the shards had it.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="As the shards had it.")] = None,
    computed_on: Annotated[
        str | None, typer.Option(metavar="cpu|cuda", help="What the shards had, where this machine has another.")
    ] = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    journal: JournalDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
    no_row: NoRow = False,
) -> None:
    """Write the row of a run that was done in shards, with the options that they had.

    Nothing is attacked again: a shard that is missing or not done is named, and its own command goes on with it.

    \b
    Examples:
      bench run --model pgd-at --dataset cifar10 --samples 1024 --journal shards --shard 1/2
      bench run --model pgd-at --dataset cifar10 --samples 1024 --journal shards --shard 2/2
      bench merge --model pgd-at --dataset cifar10 --samples 1024 --journal shards
    """
    from bench.cli.progress import RunDisplay
    from bench.data import Preprocessing
    from bench.jobs.request import RunRequest
    from bench.jobs.shards import merge as job

    request = RunRequest(
        model=model,
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
        seed=seed,
        device=device,
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        leaderboard=leaderboard,
        journal=journal,
        force=force,
        no_row=no_row,
        command=("bench", *sys.argv[1:]),
    )
    with contextlib.redirect_stdout(sys.stderr), RunDisplay(quiet=quiet) as display:
        ran = job(request, notify=display.notify, on_progress=display.update, computed_on=computed_on)
    show_runs([model], [ran], as_json=as_json)
