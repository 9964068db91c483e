"""Does the tasks of an analysis, each kept durably once it is done, so that the same call goes on where one stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.analysis import AnalysisTask, Values
from bench.core import digest, strict_json
from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import first_line
from bench.row import Fingerprint, from_json, same_function, to_json
from bench.storage import Place, read_regular, write_durably

__all__ = ["AnalysisProgress", "Done", "carry_out"]

_MOST_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class AnalysisProgress:
    """Told before the first task and after each.

    Args:
        task: the one that runs now; empty after the last.
        n_done: tasks done.
        n_tasks: tasks in all.
        seconds: since the start.
        eta: seconds left, as far as one can tell; None before a task was done in this run.
    """

    task: str
    n_done: int
    n_tasks: int
    seconds: float
    eta: float | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came out.

    Args:
        parts: what the tasks returned, by their names.
        seconds: what they took together, in whichever run.
        n_reused: tasks that an earlier run had done.
    """

    parts: Mapping[str, Values]
    seconds: float
    n_reused: int


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What is kept of a task: what it returned, its time, and the fingerprints of the models that it is about."""

    values: dict[str, Any]
    seconds: float
    fingerprints: tuple[Fingerprint | None, ...]


def carry_out(
    tasks: tuple[AnalysisTask, ...],
    *,
    journal: Place | None,
    identity: Mapping[str, Any],
    on_progress: Callable[[AnalysisProgress], None] = lambda event: None,
) -> Done:
    """Do what is not done yet.

    Args:
        tasks: in order, all with different names.
        journal: folder of what is done, or its URL in a store, or None to keep nothing.
        identity: JSON values that, with a task's name and models, fix what it returns; what was kept under another one,
            or of a model that answers fixed inputs otherwise, is not reused.
        on_progress: called before the first task and after each.

    Raises:
        WorkFailedError: if a task fails, naming it; what was finished is kept.
    """
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected `tasks` to have different names, but got {names}.")
    start = time.perf_counter()
    parts: dict[str, Values] = {}
    spent, effort_done, seconds, n_reused = 0.0, 0.0, 0.0, 0
    for position, task in enumerate(tasks):
        left = sum(each.effort for each in tasks[position:])
        eta = spent * left / effort_done if effort_done else None
        on_progress(_event(task.name, position, tasks, start, eta))
        path = journal / f"{_key(task, identity)}.json" if journal is not None else None
        kept = _read(path, task)
        if kept is None:
            kept = _do(task)
            spent, effort_done = spent + kept.seconds, effort_done + task.effort
            if path is not None:
                write_durably(path, _text(kept).encode())
        else:
            n_reused += 1
        parts[task.name] = kept.values
        seconds += kept.seconds
    on_progress(_event("", len(tasks), tasks, start, 0.0))
    return Done(parts=parts, seconds=seconds, n_reused=n_reused)


def _key(task: AnalysisTask, identity: Mapping[str, Any]) -> str:
    models = [[model.digest, model.factory_digest] for model in task.about]
    return digest.of_json([dict(identity), task.name, models])[:32]


def _do(task: AnalysisTask) -> _Kept:
    start = time.perf_counter()
    try:
        values = task.work()
    except BenchError:
        raise
    except (RuntimeError, MemoryError, ArithmeticError) as error:
        raise WorkFailedError(f"{task.name} failed: {first_line(error)}. What was finished is kept.") from error
    found = _Kept(values=dict(values), seconds=time.perf_counter() - start, fingerprints=_fingerprints(task))
    try:
        # What a resumed run reads is what an uninterrupted one has.
        return from_json(_Kept, json.loads(_text(found)), task.name)
    except ValueError:
        raise BenchError(
            f"{task.name}: numbers came out that are not finite, so nothing can be said. `bench doctor` says where the"
            " model's answers break down."
        ) from None


def _fingerprints(task: AnalysisTask) -> tuple[Fingerprint | None, ...]:
    return tuple(model.fingerprint for model in task.about)


def _text(kept: _Kept) -> str:
    return json.dumps(to_json(kept), allow_nan=False)


def _read(path: Place | None, task: AnalysisTask) -> _Kept | None:
    """What is kept in a file; a damaged one, or one about other functions, is as good as none."""
    if path is None:
        return None
    try:
        kept = from_json(_Kept, strict_json.loads(read_regular(path, most_bytes=_MOST_BYTES)), path.name)
        pairs = list(zip(kept.fingerprints, _fingerprints(task), strict=True))
    except (OSError, ValueError):
        return None
    return None if any(same_function(old, new) is False for old, new in pairs) else kept


def _event(
    task: str, n_done: int, tasks: tuple[AnalysisTask, ...], start: float, eta: float | None
) -> AnalysisProgress:
    return AnalysisProgress(task=task, n_done=n_done, n_tasks=len(tasks), seconds=time.perf_counter() - start, eta=eta)
