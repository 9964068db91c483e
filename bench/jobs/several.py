"""Several models in one run: while one of them waits for workers, the others go on."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import models
from bench.core.errors import BenchError
from bench.evaluation import Pool, Progress, full_float32
from bench.jobs.request import RunRequest
from bench.jobs.run import Ran, run

__all__ = ["expand", "requests_for", "run_several"]

ALL = "all"


def expand(names: Sequence[str], dataset: str) -> tuple[str, ...]:
    """The models that the user names; "all" stands for those of the zoo that have a checkpoint for the dataset.

    Raises:
        BenchError: if there is none, or one is named twice.
    """
    every = [each.spec.name for each in models.listing() if dataset in each.datasets] if ALL in names else []
    if ALL in names and not every:
        raise BenchError(f"No model of the zoo has a checkpoint for {dataset!r}. See: bench list models")
    found = [name for named in names for name in (every if named == ALL else [named])]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise BenchError(f"Model {twice!r} is named twice. Name each model once.")
    return tuple(found)


def requests_for(request: RunRequest, names: Sequence[str]) -> tuple[RunRequest, ...]:
    """The same request for each model; where there are several, each has a folder of its own in the journal's.

    Raises:
        BenchError: if the request fits one model alone.
    """
    if len(names) == 1:
        return (dataclasses.replace(request, model=names[0]),)
    if request.weights is not None:
        raise BenchError("--weights are those of one model, but several are named. Run them one by one.")
    if request.name is not None:
        raise BenchError("--name is that of one model, but several are named. Run them one by one.")
    if request.budget is not None:
        raise BenchError(
            "--budget is that of one model, but several are named. Run them one by one, or give --samples."
        )
    return tuple(
        dataclasses.replace(request, model=name, journal=request.journal / _folder(name) if request.journal else None)
        for name in names
    )


def run_several(
    requests: Sequence[RunRequest],
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Progress], None] | None = None,
    pool: Pool | None = None,
) -> list[Ran | BenchError]:
    """Run all requests, and return for each what was found, or why not.

    Without a pool they run one after the other. With one, their tasks are scheduled together: this process works on one
    of them at a time, and goes on with another whenever the first has to wait for workers.

    Args:
        requests: one for each model.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` after every group of chunks.
        pool: the workers; None for this process.
    """
    floor = threading.Lock()
    clock = _Clock(len(requests))

    @contextlib.contextmanager
    def waiting() -> Iterator[None]:
        floor.release()
        try:
            yield
        finally:
            floor.acquire()

    def one(request: RunRequest) -> Ran | BenchError:
        with floor:
            try:
                return run(
                    request,
                    notify=lambda line: notify(f"{request.model}: {line}"),
                    on_progress=clock.told(request.model, on_progress) if on_progress is not None else None,
                    pool=pool,
                    waiting=waiting,
                )
            except BenchError as error:
                return error

    if pool is None:  # in the main thread, which an interruption reaches
        return [one(request) for request in requests]
    # Each run sets and resets process-wide flags; inside this block they are the same before and after.
    with full_float32(), ThreadPoolExecutor(min(len(requests), max(2, pool.n_workers))) as threads:
        runs = [threads.submit(one, request) for request in requests]
        try:
            return [each.result() for each in runs]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.stop()
            raise


def _folder(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=]+", "-", name).strip("-.")


class _Clock:
    """The time that all models together have left: those that are not begun take what the others take on average."""

    def __init__(self, n_models: int) -> None:
        self._n_models = n_models
        self._left: dict[str, float | None] = {}

    def told(self, model: str, listener: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """A listener that hears of one model what `listener` shall hear of all."""

        def hear(event: Progress) -> None:
            self._left[model] = event.eta
            attack = f"{model} {event.attack}"
            stage = attack if event.stage == event.attack else event.stage
            listener(dataclasses.replace(event, attack=attack, stage=stage, eta=self._eta()))

        return hear

    def _eta(self) -> float | None:
        known = [left for left in self._left.values() if left is not None]
        return sum(known) * self._n_models / len(self._left) if len(known) == len(self._left) else None
