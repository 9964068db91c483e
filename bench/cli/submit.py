"""`bench submit`: your model, ready for a pull request."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

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
    Interpolation,
    JournalDir,
    Json,
    Leaderboard,
    Queries,
    Quiet,
    Resize,
    Suite,
    Surrogate,
    ThreatModel,
    Weights,
    WeightsKey,
)
from bench.cli.output import json_text, remark, say
from bench.cli.run import UNFINISHED, tell_of_unfinished
from bench.cli.tables import row_table
from bench.core.plain_text import plain

if TYPE_CHECKING:
    from bench.jobs.submit import Submitted

__all__ = ["submit"]


def submit(
    model: Annotated[str, typer.Option(metavar="FILE.py:FACTORY", help="Your model, as in `bench run`.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What the board calls it.")],
    reference: Annotated[str, typer.Option(metavar="URL", help="Where it is described: an address, or a paper.")],
    dataset: Dataset,
    weights: Weights = None,
    weights_key: WeightsKey = None,
    extra_data: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help='What it was trained on beside the training split, or "no".'),
    ] = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    resize: Resize = None,
    crop: Crop = None,
    interpolation: Interpolation = None,
    threat_model: ThreatModel = None,
    suite: Suite = "adaptive-v2",
    queries: Queries = None,
    surrogate: Surrogate = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="The first N examples; by default as many as a rank needs.")
    ] = None,
    device: Device = None,
    engine: Engine = None,
    doctor_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Time for the diagnostics; by default as long as they take.")
    ] = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    journal: JournalDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Evaluate and examine your model, and lay row, evidence, manifest, report and pages into the board.

    What it writes is ready to be committed. Interrupt it at any time: the same command goes on where it stopped.

    \b
    Examples:
      bench submit --model net.py:make --weights net.pth --name my-net --reference https://example.org --dataset cifar10
      bench submit --model net.py:make --name my-net --reference "arXiv 2001.00001" --dataset digits --extra-data no
    """
    from bench.cli.progress import RunDisplay
    from bench.data import Preprocessing
    from bench.jobs.run import RunRequest
    from bench.jobs.submit import SubmitRequest
    from bench.jobs.submit import submit as job

    request = SubmitRequest(
        name=name,
        reference=reference,
        extra_data=extra_data,
        doctor_seconds=doctor_seconds,
        run=RunRequest(
            model=model,
            weights=weights,
            weights_key=weights_key,
            dataset=dataset,
            data_dir=data_dir,
            class_names=class_names,
            preprocessing=Preprocessing.asked(resize, crop, interpolation),
            threat_model=threat_model,
            suite=suite,
            queries=queries,
            surrogates=tuple(surrogate or ()),
            samples=samples,
            device=device,
            engine=engine,
            leaderboard=leaderboard,
            journal=journal,
            force=force,
            command=("bench", *sys.argv[1:]),
        ),
    )
    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), RunDisplay(quiet=quiet) as display:
        done = job(request, notify=display.notify, on_progress=display.update)
    for check in done.record.result.diagnostics:
        if check.failed:
            remark(f"Warning: {check.id} failed, so the number is an upper bound only: {plain(check.evidence)}")
    say(_as_json(done) if as_json else _as_text(done))
    tell_of_unfinished(done.record.model, done.not_run)
    if done.not_run:
        raise typer.Exit(UNFINISHED)


def _as_json(done: Submitted) -> str:
    from bench.row import to_json

    value = {
        "files": [str(path) for path in done.files],
        "differences": list(done.differences),
        "not_run": done.not_run,
        "row": to_json(done.record),
    }
    return json_text(value)


def _as_text(done: Submitted) -> str:
    files = "\n".join(f"  {path}" for path in done.files)
    return f"{row_table(done.record)}\n\nReady to be committed:\n{files}\n\nCheck it as CI will: bench check"
