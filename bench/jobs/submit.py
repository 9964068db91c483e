"""Everything that a pull request with a model of one's own needs: row, evidence, checks, manifest, report, pages."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench import leaderboard, models, suites
from bench.core.errors import BenchError
from bench.core.types import AuditRules, ThreatModel
from bench.data import Dataset
from bench.diagnostics import Examined, merged, select
from bench.evaluation import ProgressCallback
from bench.jobs.doctor import DoctorRequest, doctor
from bench.jobs.request import check_name, load_data
from bench.jobs.run import Outcome, RunRequest, attempted, diagnosed, run
from bench.leaderboard.compare import compare
from bench.leaderboard.pages import MODEL_INDEX, Publication, publish, report
from bench.leaderboard.store import EvidenceKind, read_file
from bench.row import Card, Record, ranked_examples, to_json
from bench.storage import Place, check_writable, sha256_of, write_durably
from bench.suites import AttackSuite

__all__ = ["SubmitRequest", "Submitted", "submit"]

_FOLDER = "submissions"
_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """What to submit.

    Args:
        name: how the row and its files are called.
        reference: where the model is described: an address, or a paper.
        extra_data: "no", or what it was trained on beside the dataset's training split; None where nobody says.
        run: what to evaluate, and where the board is.
        doctor_seconds: time for the diagnostics, above 0; None for as long as they take.
    """

    name: str
    reference: str
    extra_data: str | None
    run: RunRequest
    doctor_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What is ready to be committed.

    Args:
        record: the row.
        files: all that have to be committed, whether or not this call wrote them; the row first.
        differences: how a row of that name that was there differs; it was replaced.
        not_run: what failed after the attacks, each with the reason.
    """

    record: Record
    files: tuple[Place, ...]
    differences: tuple[str, ...]
    not_run: dict[str, str]


def submit(
    request: SubmitRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
    on_check: Callable[[Examined], None] | None = None,
) -> Submitted:
    """Run the suite and the doctor, and lay everything into the board.

    The journal is that of `run`, so that the same call goes on where an interrupted one stopped.

    Args:
        request: what to submit.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` while attacks run.
        on_check: called after each diagnostic.

    Raises:
        BenchError: if a name is taken, or a name, a file or a value is wrong; nothing is written then.
        WorkFailedError: if an attack fails twice, or another writer holds the board for too long.
    """
    root = request.run.leaderboard
    _check_name(request)
    suite = suites.get(request.run.suite, queries=request.run.queries)
    check_writable(root)
    dataset = _data(request.run)
    _tell_of_row(request, suite, dataset, notify)
    request = dataclasses.replace(request, run=_with_samples(request.run, suite, dataset))
    with tempfile.TemporaryDirectory(prefix="bench-submit-") as folder:
        ran = run(dataclasses.replace(request.run, leaderboard=Path(folder)), notify=notify, on_progress=on_progress)
        if ran.outcome is Outcome.SAMPLE or ran.path is None:
            raise BenchError(f"A sample is no submission: {ran.notice} Name the data's folder with --data-dir.")
        evidence = read_file(ran.path, ran.record, EvidenceKind.OWN)
    record = _named(ran.record, request, notify, on_check)
    with leaderboard.locked(root, notify):
        written = leaderboard.write(
            record,
            root,
            force=request.run.force or _only_examined_again(record, root),
            suite=suite.published,
            evidence=evidence,
        )
        if not written.written and not written.reproduces:
            raise BenchError(
                f"Row {written.path} is there and differs ({'; '.join(written.differences)}). Choose another --name, or"
                " replace it with --force."
            )
        published, no_pages = attempted(lambda: publish(root))
        manifest, no_manifest = attempted(lambda: _write_manifest(request, root))
        told, no_report = attempted(lambda: _write_report(written.path, request, root))
    files = [written.path, *sorted(written.path.parent.glob(f"{request.name}.*.npz"))]
    files.append(leaderboard.suite_path(root, record.suite))
    files += [path for path in (manifest, told) if path is not None]
    files += [root / path for path in _pages(published, request.name)] if published is not None else []
    reasons = {**record.unfinished, "pages": no_pages, "manifest": no_manifest, "report": no_report}
    return Submitted(
        record=record,
        files=tuple(files),
        differences=written.differences,
        not_run={name: reason for name, reason in reasons.items() if reason},
    )


def _pages(published: Publication, name: str) -> list[PurePosixPath]:
    """Those that show the model, and others that had to change."""
    return [
        path
        for path in published.pages
        if path in published.written or path.parent.name != MODEL_INDEX or path.stem == name
    ]


def _check_name(request: SubmitRequest) -> None:
    check_name(request.name)
    if not request.reference.strip():
        raise BenchError("Expected --reference to say where the model is described: an address, or a paper.")


def _data(asked: RunRequest) -> Dataset:
    """The data that will be evaluated; what there is to remark of it the run says."""
    return load_data(
        asked.dataset,
        models=[asked.model, *asked.surrogates],
        data_dir=asked.data_dir,
        class_names=asked.class_names,
        prepare=asked.preprocessing,
        threat_model=ThreatModel.parse(asked.threat_model) if asked.threat_model is not None else None,
    )


def _tell_of_row(request: SubmitRequest, suite: AttackSuite, dataset: Dataset, notify: Callable[[str], None]) -> None:
    """Say before hours pass what will become of a row of that name that is there already."""
    asked = request.run
    threat_model = ThreatModel.parse(asked.threat_model or str(models.default_threat_model([asked.model], dataset)))
    row = leaderboard.Identity(
        suite=suite.label, dataset=dataset.name, threat_model=str(threat_model), model=request.name
    ).path(asked.leaderboard)
    if row.exists() and not asked.force:
        notify(
            f"Row {row} is there. A run that agrees with it replaces it where it has more examples or checks; one that"
            " finds something else is refused without --force."
        )


def _with_samples(asked: RunRequest, suite: AttackSuite, dataset: Dataset) -> RunRequest:
    """As many examples as a rank needs, where nobody says how many."""
    if asked.samples is not None:
        return asked
    whole = any(isinstance(attack.cascade_rules, AuditRules) for attack in suite.attacks)
    return dataclasses.replace(asked, samples=min(len(dataset), ranked_examples(dataset.name, whole=whole)))


def _named(
    record: Record,
    request: SubmitRequest,
    notify: Callable[[str], None],
    on_check: Callable[[Examined], None] | None,
) -> Record:
    """The row under its public name, with its card and the whole of the diagnostics."""
    notify("Examining the model")
    asked = DoctorRequest(
        model=request.run.model,
        dataset=request.run.dataset,
        weights=request.run.weights,
        weights_key=request.run.weights_key,
        data_dir=request.run.data_dir,
        class_names=request.run.class_names,
        preprocessing=request.run.preprocessing,
        threat_model=request.run.threat_model,
        seed=request.run.seed,
        device=request.run.device,
        seconds=request.doctor_seconds,
    )
    found = diagnosed(select(), lambda: doctor(asked, notify=notify, on_progress=on_check).diagnostics)
    card = record.card or Card(title="", reference="", architecture="", n_parameters=0, extra_data=None)
    return dataclasses.replace(
        record,
        model=request.name,
        result=dataclasses.replace(record.result, diagnostics=merged(found, record.result.diagnostics)),
        card=dataclasses.replace(card, title=request.name, reference=request.reference, extra_data=request.extra_data),
    )


def _only_examined_again(record: Record, root: Place) -> bool:
    """Whether the row that is there says the same of every example: only diagnostics or the card are new."""
    old = leaderboard.find(root, leaderboard.Identity.of(record))
    return old is not None and old.result.indices == record.result.indices and compare(old, record).same


def _write_report(row: Place, request: SubmitRequest, root: Place) -> Place:
    """What a reviewer reads first, beside the manifest."""
    path = root / _FOLDER / f"{request.name}.html"
    write_durably(path, report(row).encode())
    return path


def _write_manifest(request: SubmitRequest, root: Place) -> Place:
    """What a reviewer needs to get the very model, beside its rows."""
    rows = [path for path in leaderboard.row_paths(root) if path.stem == request.name]
    weights = request.run.weights
    value = {
        "schema_version": _SCHEMA_VERSION,
        "name": request.name,
        "reference": request.reference,
        "extra_data": request.extra_data,
        "model": request.run.model,
        "weights": weights.name if weights is not None else None,
        "weights_key": request.run.weights_key,
        "weights_sha256": sha256_of(weights) if weights is not None else None,
        "rows": [path.relative_to(root).as_posix() for path in rows],
    }
    path = root / _FOLDER / f"{request.name}.json"
    write_durably(path, (json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n").encode())
    return path
