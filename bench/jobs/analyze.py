"""Measure a paper's observation again: names in; a result with its figures, and a page about all results, out."""

from __future__ import annotations

import functools
import itertools
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import platformdirs
import torch

from bench import analysis, data, models, suites
from bench.analysis import ANALYSES, Analysis, AnalysisProgress, AnalysisSubject, Done, Looked, Report, carry_out
from bench.analysis.drawing import drawn, rendered
from bench.attacks import parameters
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.plain_text import plain
from bench.core.structure import is_stochastic
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset, Preprocessing
from bench.evaluation import code_digest, full_float32
from bench.jobs.provenance import collect_provenance
from bench.jobs.request import check_name, fingerprinted, load_data, pick_device, row_name
from bench.jobs.results import results_in, write_page, write_result
from bench.jobs.suite_verdicts import Library
from bench.models import LoadedModel
from bench.row import format_indices, row_digest
from bench.storage import Place, check_writable
from bench.training import divided

__all__ = ["AnalyzeRequest", "Analyzed", "analyze"]


@dataclass(frozen=True, kw_only=True)
class AnalyzeRequest:
    """What to measure, by name.

    Args:
        what: an analysis.
        models: in any form of `bench.models.sources`.
        weights: files of weights for the first models, one each; the others bring their own.
        weights_keys: where in these files, dotted paths.
        names: what to call the first models and their rows; the others have their own names, each once.
        dataset: a dataset, `file.npz` or `folder:PATH`.
        output: folder of results and figures.
        page: a file for the page about all results in `output`, or None.
        leaderboard: folder of rows, whose verdicts are used where they are of the same weights and data.
        suite: of the verdicts; None for the strongest that has rows of all models, else the quick one.
        control: weights of the first model, trained with another seed, or None.
        data_dir: where data is looked up first, or None.
        class_names: a file with the models' classes, of which the user's own data may have some, or None.
        preprocessing: from the images of a folder to pixels, or None for what the model asks for.
        threat_model: such as "Linf:8/255"; None for the dataset's default.
        samples: the first so many examples; None with `indices`, or for the default.
        indices: a range `A:B` of examples, or None.
        seed: of all draws.
        device: torch device; None for a GPU where there is one.
        journal: folder that keeps what is done; None for one in the user's cache.
        command: the words that the result records as its command.
    """

    what: str
    models: tuple[str, ...]
    dataset: str
    output: Path
    weights: tuple[Path, ...] = ()
    weights_keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    page: Path | None = None
    leaderboard: Place
    suite: str | None = None
    control: Path | None = None
    data_dir: Path | None = None
    class_names: Path | None = None
    preprocessing: Preprocessing | None = None
    threat_model: str | None = None
    samples: int | None = None
    indices: str | None = None
    seed: int = 0
    device: str | None = None
    journal: Place | None = None
    command: tuple[str, ...] = ("bench", "analyze")


@dataclass(frozen=True, kw_only=True)
class Analyzed:
    """A finished analysis.

    Args:
        report: what was found.
        path: where it lies.
        figures: where the figures lie.
        page: where the page lies, or None.
    """

    report: Report
    path: Path
    figures: tuple[Path, ...]
    page: Path | None


def analyze(
    request: AnalyzeRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[AnalysisProgress], None] = lambda event: None,
) -> Analyzed:
    """Measure as asked; write result, figures and page.

    Args:
        request: what to measure.
        notify: called with each thing that the user should know, one line.
        on_progress: called before the first part of the work and after each.

    Raises:
        BenchError: if a name, a file or a value is wrong; nothing is written then.
        WorkFailedError: if a part of the work fails; the journal keeps what was finished.
    """
    chosen = ANALYSES.get(request.what)
    _check(request, chosen)
    subject = _subject(request, chosen, notify)
    tasks = chosen.tasks(subject)
    journal = request.journal or platformdirs.user_cache_path("bench", appauthor=False) / "analyses"
    with full_float32():
        done = carry_out(tasks, journal=journal, identity=_identity(request, chosen, subject), on_progress=on_progress)
    values = chosen.conclude(subject, done.parts)
    stem = f"{chosen.name}-{subject.dataset.name}"
    figures = {
        title: (f"{stem}-{number}", figure) for number, (title, figure) in enumerate(drawn(chosen, values).items(), 1)
    }
    stems = {title: name for title, (name, _) in figures.items()}
    report = _report(request, chosen, subject, done, values, stems)
    path, *pictures = write_result(
        report, {name: rendered(figure) for name, figure in figures.values()}, request.output
    )
    if request.page is not None:
        write_page(request.output, request.page)
    return Analyzed(report=report, path=path, figures=tuple(pictures), page=request.page)


class _Asked(NamedTuple):
    """One of the models; `shown` is what figures and tables call it."""

    model: str
    weights: Path | None
    weights_key: str | None
    name: str | None

    @property
    def shown(self) -> str:
        return plain(self.name or self.model)


def _asked(request: AnalyzeRequest) -> list[_Asked]:
    columns = (request.models, request.weights, request.weights_keys, request.names)
    return [_Asked(*each) for each in itertools.zip_longest(*columns)]


def _check(request: AnalyzeRequest, chosen: Analysis) -> None:
    """What can be said before anything is loaded."""
    check_writable(request.output)
    if request.page is not None:
        check_writable(request.page.parent)
        results_in(request.output)
    for option, given in (
        ("--weights", request.weights),
        ("--weights-key", request.weights_keys),
        ("--name", request.names),
    ):
        if len(given) > len(request.models):
            raise BenchError(
                f"Expected at most one {option} for each --model, but got {len(given)} of {len(request.models)}."
            )
    for name in request.names:
        check_name(name)
    names = [each.shown for each in _asked(request)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BenchError(f"Model {twice!r} is named twice; name each model once, or give each a --name.")
    if len(request.models) < chosen.least_models:
        raise BenchError(
            f"Analysis {chosen.name!r} needs {chosen.least_models} models, but got {len(request.models)}:"
            " name each with --model, such as --model standard --model pgd-at."
        )
    if request.control is not None and not chosen.takes_control:
        able = ", ".join(each.name for each in ANALYSES if each.takes_control)
        raise BenchError(f"Analysis {chosen.name!r} takes no --control; with one: {able}.")
    if request.suite is not None:
        suites.get(request.suite)


def _subject(request: AnalyzeRequest, chosen: Analysis, notify: Callable[[str], None]) -> AnalysisSubject:
    asked = ThreatModel.parse(request.threat_model) if request.threat_model is not None else None
    device = pick_device(request.device)
    dataset = load_data(
        request.dataset,
        models=request.models,
        data_dir=request.data_dir,
        class_names=request.class_names,
        prepare=request.preprocessing,
        threat_model=asked,
        notify=notify,
    )
    threat_model = asked or models.default_threat_model(request.models, dataset)
    given = data.select(dataset, samples=request.samples, indices=request.indices)  # says what is wrong with them first

    rows: dict[str, str] = {}

    def load(each: _Asked) -> LoadedModel:
        model = models.load(
            each.model,
            dataset=dataset,
            weights=each.weights,
            weights_key=each.weights_key,
            threat_model=threat_model,
            device=device,
        )
        if is_stochastic(model.module):
            raise BenchError(f"Model {each.shown!r:.80} is stochastic, and analyses are of deterministic ones.")
        rows.setdefault(each.shown, each.name or row_name(model, each.weights))
        return replace(fingerprinted(model, dataset, device), name=each.shown)  # figures print it

    wanted = _asked(request)
    loaded = tuple(map(load, wanted))
    control = load(wanted[0]._replace(weights=request.control)) if request.control is not None else None
    library = Library(root=request.leaderboard, dataset=dataset, threat_model=threat_model, rows=rows)
    suite = suites.get(request.suite).label if request.suite is not None else None
    if request.samples is None and request.indices is None:
        count = min(len(dataset), chosen.samples_for(len(loaded)))
        given = dataset.examples[: library.extent(loaded, suite, count) if chosen.follows_rows else count]
    label = suite or library.suite_for(loaded, given)
    stored = {model.name: library.row(model, label, given) for model in loaded}
    return AnalysisSubject(
        models=loaded,
        dataset=dataset,
        examples=given,
        training=functools.partial(_training, request, dataset, len(given)),
        threat_model=threat_model,
        seed=request.seed,
        device=device,
        verdicts=lambda model: library.verdicts(
            model, label, given, seed=request.seed, device=str(device), notify=notify
        ),
        suite=label,
        rows={name: row_digest(record) for name, record in stored.items() if record is not None},
        control=control,
    )


def _training(request: AnalyzeRequest, dataset: Dataset, count: int) -> Examples | None:
    """As many examples that training sees; None where the data is the user's own, or a substitute sample."""
    if dataset.name not in data.DATASETS or dataset.notice is not None:
        return None
    examples = data.load(dataset.name, data_dir=request.data_dir, split="train").examples
    return examples[divided(len(examples))[1][:count]]


def _identity(request: AnalyzeRequest, chosen: Analysis, subject: AnalysisSubject) -> dict[str, object]:
    """All that fixes what the tasks return, beside their models."""
    sources = Path(analysis.__file__).parent.rglob("*.py")
    return {
        "analysis": chosen.name,
        "parameters": parameters(chosen),
        "dataset": subject.dataset.digest,
        "indices": format_indices(subject.examples.indices.tolist()),
        "threat_model": str(subject.threat_model),
        "suite": subject.suite if chosen.uses_suite else "",
        "rows": subject.rows if chosen.uses_suite else {},
        "seed": subject.seed,
        "device": subject.device.type,
        "code": [code_digest(), digest.of_sources(sources)],
    }


def _report(
    request: AnalyzeRequest,
    chosen: Analysis,
    subject: AnalysisSubject,
    done: Done,
    values: analysis.Values,
    figures: dict[str, str],
) -> Report:
    looked = [
        Looked(role="model", name=each.name, digest=each.digest, factory=each.factory_digest) for each in subject.models
    ]
    if subject.control is not None and request.control is not None:
        control = subject.control
        looked.append(
            Looked(role="control", name=request.control.name, digest=control.digest, factory=control.factory_digest)
        )
    return Report(
        analysis=chosen.name,
        parameters=parameters(chosen),
        models=tuple(looked),
        dataset=subject.dataset.name,
        dataset_digest=subject.dataset.digest,
        indices=format_indices(subject.examples.indices.tolist()),
        threat_model=str(subject.threat_model),
        seed=subject.seed,
        values=values,
        claims=chosen.claims(values),
        figures=figures,
        seconds=round(done.seconds, 1),
        device=_device_name(subject.device),
        notice=subject.dataset.notice,
        provenance=collect_provenance(request.command),
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"
