"""What a driver and its workers tell each other; both run the same code, and the driver started the workers.

A worker is told once of an evaluation (`Assignment`), and then of each task (`Order`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import __version__
from bench.attacks.adaptive import ViewName
from bench.core import digest
from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples
from bench.evaluation.execution.task import Task
from bench.evaluation.fingerprint import take_fingerprint
from bench.evaluation.journal.header import code_digest
from bench.evaluation.plan import RunPlan
from bench.evaluation.results import StageResult
from bench.models import Blueprint, dump_state, state_digest
from bench.row import Fingerprint

__all__ = ["Assignment", "Failed", "Network", "Order", "Origin", "PackedExamples", "Reply", "assign"]

_LEVELS = 255


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The software of a process, as far as it decides what is computed."""

    bench: str
    code: str
    torch: str

    @classmethod
    def here(cls) -> Origin:
        """That of this process."""
        return cls(bench=__version__, code=code_digest()[:12], torch=torch.__version__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A model, as it is sent to workers.

    Args:
        blueprint: how it is built.
        state: its tensors, from `dump_state`.
        digest: of them.
    """

    blueprint: Blueprint
    state: bytes
    digest: str

    @classmethod
    def of(cls, module: nn.Module, blueprint: Blueprint) -> Network:
        """Write down `module`, which is built by `blueprint`."""
        return cls(blueprint=blueprint, state=dump_state(module), digest=state_digest(module.state_dict()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Assignment:
    """One evaluation, as it is sent to workers: bytes, arrays and plain values.

    Args:
        key: two assignments with one key are the same.
        origin: the driver's software.
        network: the model.
        view: of the model, what is evaluated.
        surrogates: other models that examples are transferred from.
        engine: what attacks run on.
        precision: of the search.
        seed: of the run.
        batch_size: most examples computed at once.
        threat_model: such as "Linf:8/255".
        probe: a few inputs, float32 `(N, C, H, W)`.
        fingerprint: of the driver's model, on these.
    """

    key: str
    origin: Origin
    network: Network
    view: ViewName
    surrogates: tuple[Network, ...]
    engine: str
    precision: str
    seed: int
    batch_size: int
    threat_model: str
    probe: NDArray[np.float32]
    fingerprint: Fingerprint


def assign(plan: RunPlan, blueprint: Blueprint, surrogates: Sequence[Blueprint] = ()) -> Assignment:
    """Write down for workers what is evaluated; the model is lent.

    Args:
        plan: the run, settled.
        blueprint: how its model is built.
        surrogates: how its surrogates are.
    """
    header, inputs = plan.header, plan.few_inputs
    seen = take_fingerprint(plan.module, inputs.to(plan.device))
    return Assignment(
        key=digest.of_json({"header": header.digest, "view": plan.view, "fingerprint": seen.logits}),
        origin=Origin.here(),
        network=Network.of(plan.module, blueprint),
        view=plan.view,
        surrogates=tuple(map(Network.of, plan.surrogates.values(), surrogates)),
        engine=header.engine,
        precision=header.precision,
        seed=header.seed,
        batch_size=header.batch_size,
        threat_model=str(plan.threat_model),
        probe=inputs.cpu().numpy(),
        fingerprint=seen,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedExamples:
    """Examples as arrays.

    Args:
        inputs: `(N, C, H, W)`, float32, or uint8 of which each input is a 255th part.
        labels: int64 `(N,)`.
        indices: int64 `(N,)`.
    """

    inputs: NDArray[np.float32] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]

    @classmethod
    def of(cls, examples: Examples) -> PackedExamples:
        """Pack examples, wherever they lie; pixels in a byte each where that loses nothing, as for images it does."""
        inputs = examples.inputs.cpu()
        pixels = (inputs * _LEVELS).round().to(torch.uint8)
        smallest = pixels if torch.equal(_as_inputs(pixels), inputs) else inputs
        return cls(
            inputs=smallest.numpy(), labels=examples.labels.cpu().numpy(), indices=examples.indices.cpu().numpy()
        )

    def unpack(self) -> Examples:
        """The examples, to the bit, in memory of their own."""
        inputs, labels, indices = (torch.from_numpy(each.copy()) for each in (self.inputs, self.labels, self.indices))
        return Examples(
            inputs=_as_inputs(inputs) if inputs.dtype == torch.uint8 else inputs, labels=labels, indices=indices
        )


def _as_inputs(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32) / _LEVELS


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """A task for one worker.

    Args:
        key: of the assignment that it belongs to.
        task: what to compute.
        attacked: the examples that its stage sees.
    """

    key: str
    task: Task
    attacked: PackedExamples


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A task failed after its retries.

    Args:
        message: one line.
        users: whether it is the user who can help it, so that a retry cannot.
    """

    message: str
    users: bool

    @classmethod
    def of(cls, error: BenchError) -> Failed:
        """What an error comes to."""
        return cls(message=str(error), users=not isinstance(error, WorkFailedError))

    @property
    def error(self) -> BenchError:
        """The error, to be raised in the driver."""
        return BenchError(self.message) if self.users else WorkFailedError(self.message)


Reply = tuple[StageResult, ...] | Failed
"""What becomes of a task: a result for each of its chunks, or why there is none."""
