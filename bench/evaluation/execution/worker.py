"""A worker: the models that it has at hand, and what it makes of a task."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.attacks.adaptive import ViewName, view_of
from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import reason_of
from bench.core.types import Examples, ThreatModel
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.protocol import Assignment, Failed, Network, Origin, Reply
from bench.evaluation.execution.task import Task
from bench.evaluation.fingerprint import take_fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.model_guard import guarded
from bench.models import load_state, rebuild, state_digest
from bench.ops.full_float32 import full_float32
from bench.row import same_function

__all__ = ["Worker"]

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


def _built(assignment: Assignment, device: torch.device) -> Computer:
    """Build the driver's model in this process, and check that it is the driver's.

    Raises:
        BenchError: if this process has other software, cannot build the model, or its model answers otherwise.
    """
    _refuse_other_software(assignment.origin, Origin.here())
    module = _rebuilt(assignment.network, device, assignment.view)
    probe = torch.from_numpy(assignment.probe.copy()).to(device)
    _refuse_other_answers(module, probe, assignment)
    return Computer(
        module=module,
        forms=Forms.of(
            module,
            probe,
            engine=assignment.engine,
            precision=assignment.precision,
            surrogates=[_rebuilt(each, device) for each in assignment.surrogates],
        ),
        threat_model=ThreatModel.parse(assignment.threat_model),
        seed=assignment.seed,
        device=device,
        batch_size=assignment.batch_size,
    )


def _rebuilt(network: Network, device: torch.device, view: ViewName = "model") -> nn.Module:
    """A view of a model of the driver's, with the driver's tensors."""
    module = view_of(rebuild(network.blueprint, device=device), view)
    load_state(module, network.state)
    if state_digest(module.state_dict()) != network.digest:
        raise BenchError(f"Model {network.blueprint.name!r} has other tensors here than where the run was started.")
    return module


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
    if not same_function(take_fingerprint(module, probe), assignment.fingerprint):
        raise BenchError(
            f"Model {assignment.network.blueprint.name!r} answers otherwise in a worker than in the driver, with the"
            " same tensors. Let its factory depend on nothing but its file."
        )
