"""`bench certify`: how many examples nothing can break."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    ClassNames,
    Crop,
    DataDir,
    Dataset,
    Device,
    Indices,
    Interpolation,
    Json,
    Leaderboard,
    Model,
    Name,
    NoRow,
    Quiet,
    Resize,
    ThreatModel,
    Weights,
    WeightsKey,
)
from bench.cli.output import json_text, say
from bench.cli.progress import JudgingDisplay
from bench.cli.tables import percent
from bench.core.plain_text import plain

if TYPE_CHECKING:
    from bench.jobs.certify import Certified

__all__ = ["certify"]


def certify(
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
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", help="The first N examples; by default those of the model's rows, or else 256."),
    ] = None,
    indices: Indices = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no example after so long: 90s, 10m, 1h30m.")
    ] = None,
    device: Device = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    as_json: Json = False,
    quiet: Quiet = False,
    no_row: NoRow = False,
) -> None:
    """Prove of examples that no allowed input breaks them: a robust accuracy from below.

    For networks of convolutions, linear layers, batch norm, ReLU, additions and average pooling. The board then shows
    the model's rows as [certified, attacked], and `bench check` fails where an example is both certified and broken.

    \b
    Examples:
      bench certify --model ibp --dataset digits
      bench certify --model net.py:make --weights net.pth --dataset cifar10 --threat-model Linf:1/255 --budget 5m
    """
    from bench.data import Preprocessing
    from bench.jobs.certify import CertifyRequest
    from bench.jobs.certify import certify as job
    from bench.jobs.durations import parse_duration

    request = CertifyRequest(
        model=model,
        dataset=dataset,
        leaderboard=leaderboard,
        weights=weights,
        weights_key=weights_key,
        name=name,
        data_dir=data_dir,
        class_names=class_names,
        preprocessing=Preprocessing.asked(resize, crop, interpolation),
        threat_model=threat_model,
        samples=samples,
        indices=indices,
        budget=parse_duration(budget) if budget is not None else None,
        device=device,
        no_row=no_row,
    )
    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), JudgingDisplay(quiet=quiet) as display:
        found = job(
            request,
            notify=display.notify,
            begin=lambda total: display.begin("bounded", total),
            advance=display.advance,
        )
    say(json_text(_values(found)) if as_json else _text(found))


def _values(found: Certified) -> dict[str, Any]:
    return {
        "model": found.model,
        "dataset": found.dataset,
        "threat_model": found.threat_model,
        "n_certified": found.certificate.n_proved,
        "n_clean": found.n_clean,
        "n_examples": found.n_tried,
        "n_asked": found.n_asked,
        "by": found.by,
        "certificate": found.certificate,
        "rows": [str(path) for path, _ in found.rows],
        "seconds": round(found.seconds, 3),
    }


def _text(found: Certified) -> str:
    total, proved = found.n_tried, found.certificate.n_proved
    by = ", ".join(f"{count} by {name}" for name, count in found.by.items())
    lines = [
        f"{plain(found.model)} on {plain(found.dataset)}, {found.threat_model}: nothing breaks {proved} of {total}"
        f" examples ({percent(proved / total)}; {by}), of {found.n_clean} that are classified correctly."
    ]
    if total < found.n_asked:
        lines.append(f"The budget ended after {total} of {found.n_asked} examples; of the others nothing is proved.")
    for path, record in found.rows:
        least, most = (number / record.result.n_examples for number in (sum(record.certified()), record.n_robust))
        lines.append(f"{plain(str(path))}: robust accuracy from {percent(least)} to {percent(most)}")
    if not found.rows:
        lines.append("No row of this model is there to store it beside; `bench run` writes rows.")
    return "\n".join(lines)
