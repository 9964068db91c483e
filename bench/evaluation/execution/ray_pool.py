"""A pool of Ray workers: each task of an evaluation is a Ray task, wherever the cluster has room for it.

Weights, and each chunk of examples, go to Ray's object store once. A task whose worker or node dies is started again
elsewhere. What Ray says of itself goes to stderr.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import time
from collections import OrderedDict
from types import TracebackType
from typing import Any

import torch

from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import first_line, reason_of
from bench.core.types import Examples
from bench.evaluation.execution.process_pool import ATTEMPTS
from bench.evaluation.execution.protocol import Assignment, Failed, PackedExamples, Reply
from bench.evaluation.execution.task import Task
from bench.evaluation.execution.worker import Worker

__all__ = ["RayPool"]

_MOST_PLACED = 16 << 30
"""Bytes of examples that are held in the object store; beyond it those unused for longest are let go."""
_FRESH = 2.0
"""Seconds for which the size of the cluster is remembered."""

_worker: Worker | None = None
"""Of a Ray worker's process, which serves many tasks."""


class RayPool:
    """Workers of a Ray cluster, to be used in a `with` block.

    Args:
        address: of a running cluster (HOST:PORT, or "auto" for one on this machine); None starts Ray here and stops it
            at the end. Where this process is connected to a cluster already, that one is used.
        device: kind of device that a task needs: "cuda" takes a GPU, "cpu" a core; None takes GPUs where there are any.
        workers: most tasks at once; None for as many as the cluster has room for.
    """

    def __init__(self, *, address: str | None = None, device: str | None = None, workers: int | None = None) -> None:
        self._address = address
        self._asked_device = device
        self._most = workers
        self._ray: Any = None
        self._connected = False
        self._told: dict[str, Any] = {}
        self._placed: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._pending: set[Any] = set()
        self._size = (0.0, 1)
        self.device = device or "cpu"

    def __enter__(self) -> RayPool:
        """Connect to the cluster, or start one.

        Raises:
            BenchError: if Ray is not installed, nothing answers at the address, its versions are others, or it has no
                device of the kind that is asked for.
        """
        self._ray = _ray()
        if not self._ray.is_initialized():
            self._connect()
            self._connected = True
        resources = self._ray.cluster_resources()
        self.device = self._asked_device or ("cuda" if resources.get("GPU", 0) >= 1 else "cpu")
        if resources.get(self._resource, 0) < 1:
            self.__exit__(None, None, None)
            raise BenchError(f"The Ray cluster has no {self._resource} at all. Add a node, or choose another --device.")
        self._task = self._ray.remote(_fulfil).options(
            num_cpus=0 if self.device == "cuda" else 1,
            num_gpus=1 if self.device == "cuda" else 0,
            max_retries=ATTEMPTS - 1,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything; stop Ray if it was started here."""
        self._told.clear()
        self._placed.clear()
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    @property
    def n_workers(self) -> int:
        """How many tasks the cluster has room for, which changes with its nodes."""
        since, size = self._size
        if time.monotonic() - since > _FRESH:
            size = max(1, int(self._ray.cluster_resources().get(self._resource, 1)))
            self._size = (time.monotonic(), size)
        return min(size, self._most or size)

    def submit(self, assignment: Assignment, task: Task, examples: Examples) -> concurrent.futures.Future[Reply]:
        """Hand a task to the cluster."""
        if assignment.key not in self._told:
            self._told[assignment.key] = self._ray.put(assignment)
        placed = [
            self._place(digest, examples[chunk.rows]) for digest, chunk in zip(task.digests, task.chunks, strict=True)
        ]
        reply: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        # In a list it stays a reference, which is looked up only by a worker that has not seen it.
        reference = self._task.remote(assignment.key, [self._told[assignment.key]], task, *placed)
        self._pending.add(reference)
        reference.future().add_done_callback(lambda landed: self._hand_on(landed, task, reference, reply))
        return reply

    def stop(self) -> None:
        """Give up all tasks at once."""
        for reference in list(self._pending):
            self._ray.cancel(reference, force=True)

    def release(self, assignment: Assignment) -> None:
        """Let go of a model."""
        self._told.pop(assignment.key, None)

    @property
    def _resource(self) -> str:
        return "GPU" if self.device == "cuda" else "CPU"

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": "error"}
        try:
            if self._address is not None:
                self._ray.init(address=self._address, **quiet)
            else:
                self._ray.init(address="local", num_cpus=self._most, include_dashboard=False, **quiet)
        except Exception as error:  # noqa: BLE001 - Ray raises bare ones where it cannot start or connect
            where = f"at {self._address}" if self._address is not None else "on this machine"
            raise BenchError(f"Cannot use Ray {where}: {first_line(error).rstrip('.')}.") from None

    def _place(self, digest: str, chunk: Examples) -> Any:
        """A chunk's examples in the object store, under the digest that stages and models have in common."""
        known = self._placed.pop(digest, None)
        if known is None:
            packed = PackedExamples.of(chunk)
            known = (self._ray.put(packed), packed.inputs.nbytes)
        self._placed[digest] = known
        while len(self._placed) > 1 and sum(size for _, size in self._placed.values()) > _MOST_PLACED:
            self._placed.popitem(last=False)  # tasks that wait for it hold a reference of their own
        return known[0]

    def _hand_on(
        self,
        landed: concurrent.futures.Future[Reply],
        task: Task,
        reference: Any,
        reply: concurrent.futures.Future[Reply],
    ) -> None:
        self._pending.discard(reference)
        try:
            reply.set_result(self._told_of(landed, task))
        except Exception as error:  # noqa: BLE001 - raised again where the reply is awaited
            reply.set_exception(error)

    def _told_of(self, landed: concurrent.futures.Future[Reply], task: Task) -> Reply:
        """The worker's reply, or what became of the worker."""
        try:
            return landed.result()
        except self._ray.exceptions.RayError as error:
            if "No module named 'bench" in str(error):
                return Failed(
                    message="A Ray worker has no bench: install the driver's version on every node.", users=True
                )
            return Failed.of(
                WorkFailedError(
                    f"Failed: {task.what}: its worker died {ATTEMPTS} times ({reason_of(error)})."
                    " What was finished is kept."
                )
            )


def _fulfil(key: str, told: list[Any], task: Task, *chunks: PackedExamples) -> Reply:
    """Compute a task in a Ray worker."""
    global _worker
    if _worker is None:
        gpus = _ray().get_gpu_ids()
        if not gpus:
            torch.set_num_threads(1)
        _worker = Worker(torch.device("cuda:0" if gpus else "cpu"))

    def fetch(_: str) -> Assignment:
        assignment: Assignment = _ray().get(told[0])
        return assignment

    return _worker.fulfil(key, task, _attacked(task, [chunk.unpack() for chunk in chunks]), fetch)


def _attacked(task: Task, chunks: list[Examples]) -> Examples:
    mask = torch.tensor([seen for part in task.masks for seen in part])
    together = Examples(
        inputs=torch.cat([chunk.inputs for chunk in chunks]),
        labels=torch.cat([chunk.labels for chunk in chunks]),
        indices=torch.cat([chunk.indices for chunk in chunks]),
    )
    return together[mask]


def _ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise BenchError("Ray is not installed. Install it with: pip install 'robust-bench[ray]'")
    return importlib.import_module("ray")
