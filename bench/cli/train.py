"""`bench train`: make a checkpoint from a recipe."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DataDir, Device, Json, Quiet
from bench.cli.output import json_text, say

if TYPE_CHECKING:
    from bench.jobs.train import Trained

__all__ = ["train"]

DEFAULT_OUT = Path("checkpoints")


def train(
    recipe: Annotated[str, typer.Option(metavar="NAME", help="A recipe of `bench list recipes`.")],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="A dataset with a training split.")],
    scale: Annotated[
        str | None,
        typer.Option(metavar="paper|medium|small|tiny", help="By default tiny for images below 32 pixels, else small."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Another number of epochs.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="As many epochs as fit in M minutes; trying the weights comes after them."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every draw.")] = 0,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The checkpoint goes to DIR/<model>/<dataset>.safetensors.")
    ] = DEFAULT_OUT,
    data_dir: DataDir = None,
    device: Device = None,
    test_samples: Annotated[
        int | None,
        typer.Option(metavar="N", help="Try the finished weights on the first N test examples; by default all."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Train over a finished checkpoint, and over what another run left.")
    ] = False,
) -> None:
    """Train a model and store its weights with a manifest.

    The state is kept every few minutes: interrupted or killed, the same command goes on where it stopped.

    \b
    Examples:
      bench train --recipe pgd-at --dataset digits
      bench train --recipe aw-net --dataset cifar10 --out my-checkpoints
      bench train --recipe pgd-at --dataset cifar10 --scale medium --minutes 2.5 --device cuda
      bench run --model pgd-at --weights my-checkpoints/pgd-at/cifar10.safetensors --dataset cifar10
    """
    from bench.cli.progress import TrainingDisplay
    from bench.jobs.train import TrainRequest
    from bench.jobs.train import train as job

    request = TrainRequest(
        recipe=recipe,
        dataset=dataset,
        scale=scale,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        out=out,
        data_dir=data_dir,
        device=device,
        test_samples=test_samples,
        force=force,
    )
    with TrainingDisplay(quiet=quiet) as display:
        trained = job(request, on_progress=display.update, on_epoch=display.epoch)
    say(_as_json(trained) if as_json else _as_text(trained))


def _as_json(trained: Trained) -> str:
    value = {
        "weights": str(trained.weights),
        "event_log": None if trained.event_log is None else str(trained.event_log),
        "manifest": json.loads(trained.manifest.to_json()),
        "history": [dataclasses.asdict(result) for result in trained.history],
    }
    return json_text(value)


def _as_text(trained: Trained) -> str:
    lines = [
        f"  {each.name} on {each.split}, {each.checkpoint} epoch: {each.fraction:.2%} of {each.n_examples}"
        for each in trained.manifest.accuracies
    ]
    log = (
        'For a TensorBoard log: pip install "robust-bench[tensorboard]"'
        if trained.event_log is None
        else f"The epochs: tensorboard --logdir {shlex.quote(str(trained.event_log))}"
    )
    return "\n".join([f"Checkpoint written: {trained.weights}", *lines, log])
