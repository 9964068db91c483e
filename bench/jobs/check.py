"""The regression check: files, history, stored breaks, and a probe; only the last two load a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import ThreatModel
from bench.leaderboard.checks import Inspection, against, inspect_board, inspect_checkpoints
from bench.leaderboard.store import Identity
from bench.row.check_result import CheckResult, Level
from bench.row.record import Record
from bench.storage import Place

if TYPE_CHECKING:
    from bench.evaluation import ProgressCallback

__all__ = ["CheckRequest", "check"]


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What to check.

    Args:
        leaderboard: folder of the rows.
        checkpoints: folder of weights and manifests; looked at where it exists.
        rows: models or paths of rows that `replay` and `probe` are about; all where empty.
        dataset: only rows of this one are replayed and probed; None for all.
        threat_model: likewise.
        suite: likewise.
        revision: a git revision to hold the rows against, or None.
        replay: verify stored breaks on the present code and weights.
        probe: how many examples of each row to run again; None for no probe.
        model: what to probe instead of the row's own model, or None.
        weights: weights for it, or None.
        weights_key: where in that file, a dotted path; None for anywhere.
        data_dir: where data is looked up first, or None.
        device: torch device for the probe, or None.
    """

    leaderboard: Place
    checkpoints: Path
    rows: tuple[str, ...] = ()
    dataset: str | None = None
    threat_model: str | None = None
    suite: str | None = None
    revision: str | None = None
    replay: bool = False
    probe: int | None = None
    model: str | None = None
    weights: Path | None = None
    weights_key: str | None = None
    data_dir: Path | None = None
    device: str | None = None


def check(
    request: CheckRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
) -> tuple[CheckResult, ...]:
    """Look at everything that was asked for; what is wrong with one row does not stop the others.

    Args:
        request: what to check.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` while a probe runs.

    Raises:
        BenchError: if the folder, a row, a revision or a value that was asked for does not exist.
        WorkFailedError: if an attack of a probe fails twice.
    """
    chosen = _checked(request)
    found = inspect_board(request.leaderboard)
    results = [*found.results, *inspect_checkpoints(request.checkpoints)]
    if request.revision is not None:
        rows = {Identity.of(record): record for _, record in found.rows}
        results += against(request.leaderboard, rows, request.revision)
    if request.replay:
        results += _replayed(request, chosen(found), notify)
    if request.probe is not None:
        results += _probed(request, chosen(found), notify, on_progress)
    return tuple(results)


def _checked(request: CheckRequest) -> Callable[[Inspection], Sequence[tuple[Place, Record]]]:
    """What picks the rows to replay and to probe.

    Raises:
        BenchError: if the request does not fit itself.
    """
    if request.probe is not None and request.probe < 1:
        raise BenchError(f"Expected --probe of at least 1 example, but got {request.probe}.")
    if request.probe is None and not request.replay and (request.model or request.weights):
        raise BenchError("--model and --weights say what --probe and --replay run; add --probe N or --replay.")
    threat_model = str(ThreatModel.parse(request.threat_model)) if request.threat_model is not None else None
    wanted = {"dataset": request.dataset, "threat_model": threat_model, "suite": request.suite}

    def choose(found: Inspection) -> list[tuple[Place, Record]]:
        rows = [
            (path, record)
            for path, record in found.rows
            if all(value is None or getattr(record, name) == value for name, value in wanted.items())
        ]
        names = {record.model for _, record in rows} | {str(path) for path, _ in rows}
        for row in request.rows:
            if row not in names:
                raise UnknownNameError("row", row, {record.model for _, record in rows})
        return [each for each in rows if not request.rows or {each[1].model, str(each[0])} & set(request.rows)]

    return choose


def _replayed(
    request: CheckRequest, rows: Sequence[tuple[Place, Record]], notify: Callable[[str], None]
) -> Iterator[CheckResult]:
    from bench.jobs.verify import Lookup, verify

    _expect_one(request, rows)
    lookup = Lookup(
        model=request.model,
        weights=request.weights,
        weights_key=request.weights_key,
        data_dir=request.data_dir,
        device=request.device,
    )
    for path, record in rows:
        subject = path.relative_to(request.leaderboard).as_posix()
        if record.evidence is None and record.external_evidence is None:
            yield CheckResult(what="replay", subject=subject, level=Level.WARN, evidence="no breaks are stored")
            continue
        notify(f"Replaying {subject}")
        try:
            verification = verify(path, lookup)
        except BenchError as error:
            yield CheckResult(what="replay", subject=subject, level=Level.NOT_RUN, evidence=str(error))
            continue
        failed = [f"{each.what}: {each.evidence}" for each in verification.checks if each.level is Level.FAIL]
        level = Level.FAIL if failed else Level.PASS
        told = "; ".join(failed) or f"{verification.n_robust} robust again, in {verification.seconds:.1f} s"
        yield CheckResult(what="replay", subject=subject, level=level, evidence=told)


def _expect_one(request: CheckRequest, rows: Sequence[tuple[Place, Record]]) -> None:
    """The user's own model stands for one row."""
    if not rows:
        raise BenchError("No row is left to load a model for: --dataset, --threat-model and --suite exclude all.")
    if (request.model or request.weights) and len(rows) > 1:
        raise BenchError(f"--model and --weights stand for one row's model, but {len(rows)} rows are chosen. Name one.")


def _probed(
    request: CheckRequest,
    rows: Sequence[tuple[Place, Record]],
    notify: Callable[[str], None],
    on_progress: ProgressCallback | None,
) -> Iterator[CheckResult]:
    from bench.jobs.probe import ProbeRequest, probe

    _expect_one(request, rows)
    for path, record in rows:
        subject = path.relative_to(request.leaderboard).as_posix()
        notify(f"Probing {subject}")
        try:
            change, _ = probe(
                ProbeRequest(
                    record=record,
                    n_examples=int(request.probe or 1),
                    model=request.model,
                    weights=request.weights,
                    weights_key=request.weights_key,
                    data_dir=request.data_dir,
                    device=request.device,
                ),
                notify=notify,
                on_progress=on_progress,
            )
        except UnknownNameError as error:
            message = f"{error} A model of your own is named with --model and --weights."
            yield CheckResult(what="probe", subject=subject, level=Level.NOT_RUN, evidence=message)
        else:
            yield CheckResult(what="probe", subject=subject, level=change.level, evidence=change.evidence)
