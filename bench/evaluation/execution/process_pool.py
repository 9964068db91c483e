"""Worker processes on this machine: each with its device, its share of the cores, and a thread here that minds it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType

import torch

from bench.core.errors import WorkFailedError
from bench.core.types import Examples
from bench.evaluation.execution.protocol import Assignment, Failed, Order, PackedExamples, Reply
from bench.evaluation.execution.task import Task

__all__ = ["ATTEMPTS", "ProcessPool"]

ATTEMPTS = 3
"""How many workers may die of one task before it is given up."""

_Item = tuple[Order, concurrent.futures.Future[Reply]]
"""An order, and where its reply goes."""


class ProcessPool:
    """A pool of processes, to be used in a `with` block; they are started when the first task comes.

    Args:
        devices: one for each worker, such as ("cpu", "cpu") or ("cuda:0", "cuda:1"); all of one kind.
        threads: that each worker may use; by default its share of those that torch uses here.
    """

    def __init__(self, devices: Sequence[str], *, threads: int | None = None) -> None:
        self.n_workers = len(devices)
        self.device = torch.device(devices[0]).type
        share = threads or max(1, torch.get_num_threads() // self.n_workers)
        self._orders: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._assignments: dict[str, Assignment] = {}
        self._processes = [_Process(device, share, self._orders, self._assignments) for device in devices]

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers, whatever they are at."""
        self.stop()
        for process in self._processes:
            process.finish()

    def stop(self) -> None:
        """Give up all tasks at once."""
        for process in self._processes:
            process.kill()
        for _ in self._processes:
            self._orders.put(None)

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return [process.pid for process in self._processes if process.pid is not None]

    def submit(self, assignment: Assignment, task: Task, examples: Examples) -> concurrent.futures.Future[Reply]:
        """Hand a task to whichever worker is free first."""
        self._assignments[assignment.key] = assignment
        for process in self._processes:
            process.start()
        reply: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        order = Order(key=assignment.key, task=task, attacked=PackedExamples.of(task.attacked(examples)))
        self._orders.put((order, reply))
        return reply

    def release(self, assignment: Assignment) -> None:
        """Forget an assignment."""
        self._assignments.pop(assignment.key, None)


class _Process:
    """One process, started anew after it died, and the thread here that hands it orders, one at a time."""

    def __init__(
        self,
        device: str,
        threads: int,
        orders: queue.SimpleQueue[_Item | None],
        assignments: dict[str, Assignment],
    ) -> None:
        self._device = device
        self._threads = threads
        self._orders = orders
        self._assignments = assignments
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._dismissed = False

    @property
    def pid(self) -> int | None:
        """Of the living process, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Wait for orders, unless it does already; the process comes with the first of them."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._mind, daemon=True)
            self._thread.start()

    def kill(self) -> None:
        """End the process for good."""
        with self._lock:
            self._dismissed = True
            if self._process is not None:
                self._process.kill()

    def finish(self) -> None:
        """Wait until the thread has ended, for which a None must be among the orders."""
        if self._thread is not None:
            self._thread.join()
            self._clear()

    def _mind(self) -> None:
        while (item := self._orders.get()) is not None:
            order, reply = item
            try:
                reply.set_result(self._fulfilled(order))
            except Exception as error:  # noqa: BLE001 - raised again where the reply is awaited
                reply.set_exception(error)

    def _fulfilled(self, order: Order) -> Reply:
        assignment = self._assignments[order.key]
        died_of = ""
        for _ in range(ATTEMPTS):
            if self._dismissed:
                return Failed.of(WorkFailedError(f"Given up: {order.task.what}. What was finished is kept."))
            try:
                return self._ask(order, assignment)
            except (EOFError, OSError):
                died_of = self._clear()
        message = f"Failed: {order.task.what}: its worker died {ATTEMPTS} times ({died_of}). What was finished is kept."
        return Failed.of(WorkFailedError(message))

    def _ask(self, order: Order, assignment: Assignment) -> Reply:
        """Have the process compute an order.

        Raises:
            EOFError: if it died.
            OSError: the same.
        """
        if self.pid is None:
            self._start()
        self._outbox.send(order)
        reply: Reply | str = self._inbox.recv()
        if isinstance(reply, str):  # the key of an assignment that it does not have at hand
            self._outbox.send(assignment)
            reply = self._inbox.recv()
        if isinstance(reply, str):
            raise ValueError(f"Expected a reply, but got {reply!r}.")
        return reply

    def _start(self) -> None:
        orders, to_worker = os.pipe()
        from_worker, replies = os.pipe()
        lifeline, self._lifeline = os.pipe()
        theirs = (orders, replies, lifeline)
        command = [sys.executable, "-m", "bench.evaluation.execution", *map(str, theirs), self._device]
        with self._lock:
            if self._dismissed:
                raise EOFError
            self._process = subprocess.Popen(
                [*command, str(self._threads)], pass_fds=theirs, stdin=subprocess.DEVNULL, env=self._environment()
            )
        for end in theirs:
            os.close(end)
        self._outbox, self._inbox = Connection(to_worker, readable=False), Connection(from_worker, writable=False)

    def _clear(self) -> str:
        """Wait for the end of a dead process, and say what it died of."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return "it did not start"
        process.kill()
        code = process.wait()
        for end in (self._inbox, self._outbox):
            end.close()
        os.close(self._lifeline)
        if code >= 0:
            return f"exit status {code}"
        with contextlib.suppress(ValueError):
            return f"{signal.Signals(-code).name}" + (", perhaps for want of memory" if code == -signal.SIGKILL else "")
        return f"signal {-code}"

    def _environment(self) -> dict[str, str]:
        """The driver's, with its import path, and thread pools that fit the worker's share of the cores."""
        path = os.pathsep.join(each for each in sys.path if each)
        return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(self._threads)}
