"""Examine a model: names in, diagnostics out. Only what cannot be loaded or called is refused; all else is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import data, models
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.diagnostics import Examined, claim_of, diagnose, overall, select
from bench.evaluation import default_batch_size
from bench.jobs.request import load_data, pick_device
from bench.jobs.surrogates import load_surrogates
from bench.row import Diagnostic, Level, format_indices

__all__ = ["SAMPLES", "Diagnosis", "DoctorRequest", "doctor"]

SAMPLES = 128


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """What to examine, by name.

    Args:
        model: in any form of `bench.models.sources`.
        dataset: a dataset, `file.npz` or `folder:PATH`.
        weights: a weights file for the model, or None.
        weights_key: where in that file, a dotted path; None for anywhere.
        name: what to call it; None for `model`.
        data_dir: where data is looked up first, or None.
        class_names: a file with the model's classes, of which the user's own data may have some, or None.
        preprocessing: from the images of a folder to pixels, or None for what the model asks for.
        threat_model: such as "Linf:8/255"; None for the dataset's default.
        samples: the first so many examples; None with `indices`, or for 128.
        indices: a range `A:B` of examples, or None.
        checks: ids such as "R8"; None for all.
        seed: of all draws.
        device: torch device; None for a GPU where there is one.
        seconds: time for all checks, above 0; None for as long as they take.
    """

    model: str
    dataset: str
    weights: Path | None = None
    weights_key: str | None = None
    name: str | None = None
    data_dir: Path | None = None
    class_names: Path | None = None
    preprocessing: Preprocessing | None = None
    threat_model: str | None = None
    samples: int | None = None
    indices: str | None = None
    checks: tuple[str, ...] | None = None
    seed: int = 0
    device: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found.

    Args:
        model: its name, as it was asked for.
        dataset: its name.
        indices: of the examples that were looked at.
        threat_model: what the attacker may do.
        seed: of all draws.
        diagnostics: one per check, in the order of their numbers.
        seconds: what it took.
        notice: set where a substitute sample of the data was used.
    """

    model: str
    dataset: str
    indices: str
    threat_model: str
    seed: int
    diagnostics: tuple[Diagnostic, ...]
    seconds: float
    notice: str | None

    @property
    def level(self) -> Level:
        """The worst of all checks."""
        return overall(self.diagnostics)


def doctor(
    request: DoctorRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Examined], None] | None = None,
) -> Diagnosis:
    """Examine a model as asked.

    Args:
        request: what to examine.
        notify: called with each thing that the user should know before it starts, one line.
        on_progress: called after every check.

    Raises:
        BenchError: if a name, a file or a value is wrong, or the model cannot be loaded or called.
    """
    select(request.checks)
    if request.seconds is not None and not request.seconds > 0:
        raise BenchError(f"Expected a time above 0 seconds, but got {request.seconds:g}.")
    asked = ThreatModel.parse(request.threat_model) if request.threat_model is not None else None
    device = pick_device(request.device)
    dataset = load_data(
        request.dataset,
        models=[request.model],
        data_dir=request.data_dir,
        class_names=request.class_names,
        prepare=request.preprocessing,
        threat_model=asked,
        notify=notify,
    )
    threat_model = asked or models.default_threat_model([request.model], dataset)
    few = min(SAMPLES, len(dataset)) if request.samples is None and request.indices is None else request.samples
    examples = data.select(dataset, samples=few, indices=request.indices)
    model = models.load(
        request.model,
        weights=request.weights,
        weights_key=request.weights_key,
        dataset=dataset,
        threat_model=threat_model,
        device=device,
        check=False,
    )
    for remark in model.remarks:
        notify(remark)
    start = time.monotonic()
    found = diagnose(
        model.module,
        examples,
        threat_model=threat_model,
        num_classes=dataset.num_classes,
        seed=request.seed,
        checks=request.checks,
        surrogates=tuple(load_surrogates(model, dataset, device).values()) if _transfers(request.checks) else (),
        batch_size=default_batch_size(device),
        claim=claim_of(model, dataset=dataset.name),
        seconds=request.seconds,
        device=device,
        progress=on_progress,
    )
    return Diagnosis(
        model=request.name or request.model,
        dataset=dataset.name,
        indices=format_indices(examples.indices.tolist()),
        threat_model=str(threat_model),
        seed=request.seed,
        diagnostics=found,
        seconds=time.monotonic() - start,
        notice=dataset.notice,
    )


def _transfers(checks: Sequence[str] | None) -> bool:
    """Whether one of the checks asks other models."""
    return any(check.id == "R13" for check in select(checks))
