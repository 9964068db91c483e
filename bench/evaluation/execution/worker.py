"""A worker: the models that it has at hand, and what it makes of a task.

As a process, `python -m bench.evaluation.execution.worker`, it is started by `process_pool` and told everything by a
pipe. It ends when the driver does, however that ends: a thread waits for the pipe to close.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from torch import Tensor, nn

from bench.attacks.adaptive import view_of
from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import reason_of
from bench.core.types import Examples, ThreatModel
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.protocol import Assignment, Failed, Order, Origin, Reply
from bench.evaluation.execution.task import Task
from bench.evaluation.fingerprint import fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.model_guard import guarded
from bench.evaluation.precision import full_float32
from bench.models import load_state, rebuild, state_digest
from bench.row import same_function

__all__ = ["Worker", "main"]

_STDOUT, _STDERR = 1, 2
_KEPT = 4
"""Models at hand; where several are evaluated at once, tasks of one of them tend to follow each other."""


class Worker:
    """Computes tasks of any number of evaluations in this process, each with its model lent and in full float32.

    Args:
        device: where to compute.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._at_hand: OrderedDict[str, Computer] = OrderedDict()

    def fulfil(self, key: str, task: Task, attacked: Examples, fetch: Callable[[str], Assignment]) -> Reply:
        """Compute a task.

        Args:
            key: of the assignment that it belongs to.
            task: what to compute.
            attacked: the examples that its stage sees.
            fetch: gets the assignment with a key, where it is not at hand.
        """
        try:
            computer = self._computer(key, fetch)
            with guarded(computer.module, self._device), full_float32():
                return computer.compute(task, attacked)
        except BenchError as error:
            return Failed.of(error)
        except Exception as error:  # noqa: BLE001 - told to the driver, which ends the run with it
            return Failed.of(WorkFailedError(f"Failed: {task.what}: {reason_of(error)}."))

    def _computer(self, key: str, fetch: Callable[[str], Assignment]) -> Computer:
        if key not in self._at_hand:
            while len(self._at_hand) >= _KEPT:
                self._at_hand.popitem(last=False)
            with full_float32():
                self._at_hand[key] = _built(fetch(key), self._device)
        self._at_hand.move_to_end(key)
        return self._at_hand[key]


def main(orders: int, replies: int, lifeline: int, device: str, threads: int) -> None:
    """Compute orders until the driver says no more.

    Args:
        orders: file descriptor to read orders and assignments from.
        replies: file descriptor to write replies to.
        lifeline: file descriptor that closes when the driver ends.
        device: torch device.
        threads: that torch may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the driver decides
    os.dup2(_STDERR, _STDOUT)  # what a model prints is no result
    _end_with(lifeline)
    torch.set_num_threads(threads)
    inbox, outbox = Connection(orders, writable=False), Connection(replies, readable=False)

    def fetch(key: str) -> Assignment:
        outbox.send(key)
        assignment: Assignment = inbox.recv()
        return assignment

    worker = Worker(torch.device(device))
    try:
        while True:
            order: Order = inbox.recv()
            outbox.send(worker.fulfil(order.key, order.task, order.attacked.unpack(), fetch))
    except (EOFError, BrokenPipeError):
        return


def _built(assignment: Assignment, device: torch.device) -> Computer:
    """Build the driver's model in this process, and check that it is the driver's.

    Raises:
        BenchError: if this process has other software, cannot build the model, or its model answers otherwise.
    """
    _refuse_other_software(assignment.origin, Origin.here())
    module = view_of(rebuild(assignment.blueprint, device=device), assignment.view)
    load_state(module, assignment.state)
    if state_digest(module.state_dict()) != assignment.model:
        raise BenchError(f"Model {assignment.blueprint.name!r} has other tensors here than where the run was started.")
    probe = torch.from_numpy(assignment.probe.copy()).to(device)
    _refuse_other_answers(module, probe, assignment)
    return Computer(
        module=module,
        forms=Forms.of(module, probe, engine=assignment.engine, precision=assignment.precision),
        threat_model=ThreatModel.parse(assignment.threat_model),
        seed=assignment.seed,
        device=device,
        batch_size=assignment.batch_size,
    )


def _refuse_other_software(there: Origin, here: Origin) -> None:
    theirs, ours = dataclasses.asdict(there), dataclasses.asdict(here)
    differing = [f"{name} {theirs[name]} there, {ours[name]} here" for name in theirs if theirs[name] != ours[name]]
    if differing:
        raise BenchError(
            f"A worker has other software than the driver ({'; '.join(differing)}, there being the driver)."
            " Install the same versions on every machine."
        )


def _refuse_other_answers(module: nn.Module, probe: Tensor, assignment: Assignment) -> None:
    """A model is more than its state dict: what a factory reads elsewhere would show in the logits."""
    if not same_function(fingerprint(module, probe), assignment.fingerprint):
        raise BenchError(
            f"Model {assignment.blueprint.name!r} answers otherwise in a worker than in the driver, with the same"
            " tensors. Let its factory depend on nothing but its file."
        )


def _end_with(lifeline: int) -> None:
    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
