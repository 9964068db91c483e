"""`bench doctor`: is the number believable?"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import table, wrapped
from bench.cli.options import (
    ClassNames,
    Crop,
    DataDir,
    Dataset,
    Device,
    Indices,
    Interpolation,
    Json,
    Model,
    Name,
    Quiet,
    Resize,
    ThreatModel,
    Weights,
    WeightsKey,
)
from bench.cli.output import json_text, say
from bench.cli.tables import clock
from bench.row import Level

if TYPE_CHECKING:
    from bench.jobs.doctor import Diagnosis

__all__ = ["doctor"]


def doctor(
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
    samples: Annotated[int | None, typer.Option(metavar="N", help="The first N examples; by default 128.")] = None,
    indices: Indices = None,
    checks: Annotated[
        str | None, typer.Option(metavar="R3,R8", help="Only these checks of `bench list checks`; by default all.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Time for all checks, by default all they take; one that runs out says so."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all random draws.")] = 0,
    device: Device = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Examine a model for the ways in which a robustness number goes wrong.

    Every check says what it measured and what to run next; docs/doctor.md explains them. Exit code 1 if one fails, 3 if
    one could not run.

    \b
    Examples:
      bench doctor --model pgd-at --dataset cifar10
      bench doctor --model net.py:make --weights net.pth --dataset digits --checks R3,R8
      bench doctor --model aw-net --dataset cifar10 --samples 64 --json
    """
    from bench.cli.progress import ExaminationDisplay
    from bench.data import Preprocessing
    from bench.jobs.doctor import DoctorRequest
    from bench.jobs.doctor import doctor as job

    request = DoctorRequest(
        model=model,
        dataset=dataset,
        weights=weights,
        weights_key=weights_key,
        name=name,
        data_dir=data_dir,
        class_names=class_names,
        preprocessing=Preprocessing.asked(resize, crop, interpolation),
        threat_model=threat_model,
        samples=samples,
        indices=indices,
        checks=tuple(checks.split(",")) if checks is not None else None,
        seed=seed,
        device=device,
        seconds=seconds,
    )
    # A user's model, and libraries, may print; stdout is for the result alone.
    with contextlib.redirect_stdout(sys.stderr), ExaminationDisplay(quiet=quiet) as display:
        found = job(request, notify=display.notify, on_progress=display.update)
    say(_as_json(found) if as_json else _as_text(found))
    if found.level is Level.FAIL:
        raise typer.Exit(1)
    if found.level is Level.NOT_RUN:
        raise typer.Exit(3)


def _as_json(found: Diagnosis) -> str:
    from bench.row import to_json

    value = {
        "status": found.level.value,
        "model": found.model,
        "dataset": found.dataset,
        "threat_model": found.threat_model,
        "indices": found.indices,
        "seed": found.seed,
        "seconds": round(found.seconds, 1),
        "notice": found.notice,
        "checks": [to_json(diagnostic) for diagnostic in found.diagnostics],
    }
    return json_text(value)


def _as_text(found: Diagnosis) -> str:
    from bench.diagnostics import CHECKS

    title = (
        f"{found.model} on {found.dataset} [{found.indices}], {found.threat_model}, seed {found.seed},"
        f" {clock(found.seconds)}"
    )
    cells = [
        (each.id, each.status, CHECKS.get(each.id).question, _number(each.statistic), _number(each.threshold))
        for each in found.diagnostics
    ]
    headers = ("check", "status", "question", "statistic", "threshold")
    doubts = [
        f"{each.id} {each.status}: {each.evidence}\n  Next: {each.next}" for each in found.diagnostics if each.next
    ]
    parts = (found.notice, title, table(headers, cells, right=headers[3:]), *doubts, _conclusion(found))
    return wrapped("\n\n".join(part for part in parts if part))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _conclusion(found: Diagnosis) -> str:
    statuses = ("fail", "not run", "warn", "pass")
    counts = {status: sum(each.status == status for each in found.diagnostics) for status in statuses}
    if counts["fail"]:
        return f"{counts['fail']} failed: a robust accuracy of this model is an upper bound only, until it is repaired."
    if counts["not run"]:
        return f"None failed, but {counts['not run']} could not run; {counts['pass']} passed."
    if counts["warn"]:
        return f"None failed, {counts['warn']} with a warning, {counts['pass']} passed."
    return f"None failed, {counts['pass']} passed."
