"""What a worker is told once per evaluation, and the proof that it sees the same model as the driver."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import __version__
from bench.attacks.adaptive.views import ViewName, view_of
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.evaluation.execution.computing import Computer
from bench.evaluation.fingerprint import fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.journal.header import code_digest
from bench.evaluation.plan import RunPlan
from bench.models.blueprint import Blueprint, dump_state, load_state, rebuild
from bench.models.digest import of_state
from bench.row.fingerprint import Fingerprint, same_function

__all__ = ["Assignment", "Origin", "assign", "take_up"]


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
class Assignment:
    """One evaluation, as it is sent to workers: bytes, arrays and plain values.

    Args:
        key: two assignments with one key are the same.
        origin: the driver's software.
        blueprint: how the model is built.
        view: of the model, what is evaluated.
        state: its tensors, from `dump_state`.
        model: digest of its tensors.
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
    blueprint: Blueprint
    view: ViewName
    state: bytes
    model: str
    engine: str
    precision: str
    seed: int
    batch_size: int
    threat_model: str
    probe: NDArray[np.float32]
    fingerprint: Fingerprint


def assign(plan: RunPlan, blueprint: Blueprint) -> Assignment:
    """Write down for workers what is evaluated; the model is lent."""
    header, inputs = plan.header, plan.few_inputs
    seen = fingerprint(plan.module, inputs.to(plan.device))
    return Assignment(
        key=digest.of_json({"header": header.digest, "view": plan.view, "fingerprint": seen.logits}),
        origin=Origin.here(),
        blueprint=blueprint,
        view=plan.view,
        state=dump_state(plan.module),
        model=of_state(plan.module.state_dict()),
        engine=header.engine,
        precision=header.precision,
        seed=header.seed,
        batch_size=header.batch_size,
        threat_model=str(plan.threat_model),
        probe=inputs.cpu().numpy(),
        fingerprint=seen,
    )


def take_up(assignment: Assignment, device: torch.device) -> Computer:
    """Build the driver's model in this process, and check that it is the driver's.

    The caller lends the model and sets the precision, for as long as the computer is used.

    Raises:
        BenchError: if this process has other software, cannot build the model, or its model answers otherwise.
    """
    _refuse_other_software(assignment.origin, Origin.here())
    module = view_of(rebuild(assignment.blueprint, device=device), assignment.view)
    load_state(module, assignment.state)
    if of_state(module.state_dict()) != assignment.model:
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
