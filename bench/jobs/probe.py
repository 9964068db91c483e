"""Run a published row's own suite again on a few of its examples, and say whether anything but rounding changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import suites
from bench.core.errors import BenchError
from bench.evaluation import ProgressCallback
from bench.jobs.lookup import Lookup
from bench.jobs.request import RunRequest
from bench.jobs.run import Outcome, run
from bench.jobs.verify import check_data, dataset_name, load_data_of, model_name, prepared_as
from bench.leaderboard.compare import Cause, Change, compare, new_checkpoint, same_checkpoint
from bench.row import Level, Record, parse_indices, same_function

__all__ = ["ProbeRequest", "Probed", "probe"]


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """What to probe.

    Args:
        record: the published row.
        n_examples: how many of its first examples to run again, at least 1.
        lookup: where its model and data are found; a model or weights in it are what is run instead of the row's.
    """

    record: Record
    n_examples: int
    lookup: Lookup


class Probed(NamedTuple):
    """What a probe found, and its row; None where the data is not the row's, so that nothing was run."""

    change: Change
    record: Record | None


def probe(
    request: ProbeRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
) -> Probed:
    """Run the suite again and compare.

    Nothing that was finished before is reused, and nothing is kept.

    Args:
        request: what to probe.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` after every group of chunks.

    Raises:
        BenchError: if the model, the data or the suite is not here.
        WorkFailedError: if an attack fails twice.
    """
    if request.lookup.dataset is not None:  # somebody's own, which may have changed since
        data = check_data(request.record, load_data_of(request.record, request.lookup))
        if data.level is Level.FAIL:
            return Probed(Change(Level.FAIL, None, data.evidence), None)
    with tempfile.TemporaryDirectory(prefix="bench-probe-") as folder:
        ran = run(_request(request, Path(folder)), notify=notify, on_progress=on_progress)
    if ran.outcome is Outcome.SAMPLE:
        raise BenchError(
            f"Data set {request.record.dataset} is not here, so no row of it can be probed. Name its folder with"
            " --data-dir or BENCH_DATA_DIR."
        )
    return Probed(_judged(request, ran.record), ran.record)


def _request(request: ProbeRequest, folder: Path) -> RunRequest:
    record, lookup = request.record, request.lookup
    return RunRequest(
        model=model_name(record, lookup),
        weights=lookup.weights,
        weights_key=lookup.weights_key,
        dataset=dataset_name(record, lookup),
        data_dir=lookup.data_dir,
        class_names=lookup.class_names,
        preprocessing=prepared_as(record, lookup),
        threat_model=record.threat_model,
        suite=record.suite,
        stochastic=suites.for_stochastic(record.suite),
        surrogates=tuple(record.black_box.surrogates) if record.black_box is not None else (),
        indices=_first(record, request.n_examples),
        seed=record.result.seed,
        device=lookup.device,
        engine=record.cost.engine,
        precision=record.cost.precision,
        batch_size=record.cost.batch_size,
        leaderboard=folder / "leaderboard",
        journal=folder / "journal",
        command=("bench", "check", "--probe", str(request.n_examples)),
    )


def _first(record: Record, n_examples: int) -> str:
    """The row's first examples as one range; it ends early where they have a gap."""
    indices = parse_indices(record.result.indices)
    start = indices[0]
    count = 1
    while count < min(n_examples, len(indices)) and indices[count] == start + count:
        count += 1
    return f"{start}:{start + count}"


def _judged(request: ProbeRequest, new: Record) -> Change:
    old = request.record
    comparison = compare(old, new)
    if not comparison.comparable:
        return Change(Level.FAIL, None, f"not comparable: {'; '.join(comparison.obstacles)}")
    if comparison.same_checkpoint:
        found = same_checkpoint(old, new)
        evidence = f"{new.result.n_examples} examples: {found.evidence}"
        if old.digests.factory != new.digests.factory:
            evidence += "; the architecture's source changed, its logits on fixed inputs did not"
        # That rounding differs is what a probe on another machine expects.
        return found._replace(level=Level.PASS if found.level is Level.WARN else found.level, evidence=evidence)
    found = new_checkpoint(comparison)
    if request.lookup.own_model:
        return found
    counts = found.evidence.removeprefix("a new checkpoint: ")
    message = f"the model changed: {_changed(old, new)}; {counts}. Run it again, with --force"
    return Change(Level.FAIL, Cause.MODEL, message)


def _changed(old: Record, new: Record) -> str:
    if old.digests.model != new.digests.model:
        return "its weights are not those of the row"
    answers = (
        ", and it answers fixed inputs otherwise" if same_function(old.fingerprint, new.fingerprint) is False else ""
    )
    return f"its architecture's source is not that of the row{answers}"
