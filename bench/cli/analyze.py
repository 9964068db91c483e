"""`bench analyze`: does what a paper observed hold on these models?"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import table, wrapped
from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    MODEL_HELP,
    ClassNames,
    Crop,
    DataDir,
    Dataset,
    Device,
    Indices,
    Interpolation,
    JournalDir,
    Json,
    Leaderboard,
    Quiet,
    Resize,
    ThreatModel,
)
from bench.cli.output import json_text, say
from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.jobs.analyze import Analyzed

__all__ = ["analyze"]


def analyze(
    what: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="curve, failing, filters, landscape, lipschitz: `bench list analyses`."),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help=f"{MODEL_HELP}; once for each model.",
        ),
    ],
    dataset: Dataset,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Weights of the first model, of the second, and so on; the others bring their own."
        ),
    ] = None,
    weights_key: Annotated[
        list[str] | None, typer.Option(metavar="A.B", help="Where in the first file the weights lie, in the second.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What to call the first model, the second, and so on.")
    ] = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    resize: Resize = None,
    crop: Crop = None,
    interpolation: Interpolation = None,
    threat_model: ThreatModel = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="The first N examples; by default as many as take some minutes.")
    ] = None,
    indices: Indices = None,
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the result and its figures; an earlier one on the same data is replaced."
        ),
    ] = Path("analyses"),
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page about all results in the output folder.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose verdicts curve and failing use, from rows or a run; by default the strongest with rows of all"
            " models, else quick-v1.",
        ),
    ] = None,
    control: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For filters: weights of the first model, trained with another seed."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all random draws.")] = 0,
    device: Device = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    journal: JournalDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what a paper observed on models of your own choice: numbers with intervals, figures as PNG, SVG and PDF.

    Interrupt it at any time: the same command goes on where it stopped. docs/analyses.md shows the models of bench.

    \b
    Examples:
      bench analyze filters --model standard --model pgd-at --model aw-net --dataset cifar10
      bench analyze landscape --model pgd-at --model at-awp --dataset cifar10 --samples 64
      bench analyze lipschitz --model robust-wrn --model wrn --dataset digits --json
      bench analyze failing --model pgd-at --model trades --model ducat --dataset cifar10 --output failing
      bench analyze curve --model net.py:make --weights net.pth --name mine --dataset digits --suite quick-v1
    """
    from bench.cli.progress import AnalysisDisplay
    from bench.data import Preprocessing
    from bench.jobs.analyze import AnalyzeRequest
    from bench.jobs.analyze import analyze as job

    request = AnalyzeRequest(
        what=what,
        models=tuple(model),
        weights=tuple(weights or ()),
        weights_keys=tuple(weights_key or ()),
        names=tuple(name or ()),
        dataset=dataset,
        data_dir=data_dir,
        class_names=class_names,
        preprocessing=Preprocessing.asked(resize, crop, interpolation),
        threat_model=threat_model,
        samples=samples,
        indices=indices,
        output=output,
        page=page,
        suite=suite,
        control=control,
        seed=seed,
        device=device,
        leaderboard=leaderboard,
        journal=journal,
        command=("bench", *sys.argv[1:]),
    )
    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), AnalysisDisplay(quiet=quiet) as display:
        found = job(request, notify=display.notify, on_progress=display.update)
    say(_as_json(found) if as_json else _as_text(found))


def _as_json(found: Analyzed) -> str:
    from bench.row import to_json

    value = {
        "path": str(found.path),
        "figures": [str(path) for path in found.figures],
        "page": str(found.page) if found.page is not None else None,
        "report": to_json(found.report),
    }
    return json_text(value)


def _as_text(found: Analyzed) -> str:
    from bench.analysis import ANALYSES

    report = found.report
    analysis = ANALYSES.get(report.analysis)
    title = f"{analysis.question}\n{report.dataset} [{report.indices}], {report.threat_model}, seed {report.seed}"
    tables = [f"{each.title}\n\n{table(each.headers, each.rows)}" for each in analysis.tables(report.values)]
    claims = [f"{each.verdict}: {each.text}\n  {each.evidence}" for each in report.claims]
    files = ", ".join(str(path) for path in (found.path, *found.figures))
    page = f"Page: {found.page}" if found.page is not None else None
    parts = (report.notice, f"{title}, {clock(report.seconds)}", *tables, "\n".join(claims), f"Written: {files}", page)
    return wrapped("\n\n".join(part for part in parts if part))
