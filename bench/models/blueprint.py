"""How another process builds the same model: from a name or an architecture, and tensors; never from pickled code.

A worker builds what the driver built, the way the driver did, and then takes the driver's tensors. So it needs no
weights file, and a factory that draws its weights at random gives the driver's model all the same.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.structure import is_stochastic
from bench.core.types import ThreatModel
from bench.models import digest
from bench.models.adapting import Adapted, Needs
from bench.models.building import build_empty
from bench.models.loaded import LoadedModel, freeze
from bench.models.sources import Wanted, source_of, user_file
from bench.row import ArchitectureSpec
from bench.storage import expanded

__all__ = ["Blueprint", "blueprint_of", "dump_state", "load_state", "rebuild"]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a model is built from, less its tensors.

    Args:
        name: as it was asked for, with an absolute path.
        architecture: for models of the zoo.
        dataset: name of the dataset; with the threat model it picks RobustBench's list.
        num_classes: number of logits.
        threat_model: such as "Linf:8/255".
        factory_digest: of the sources that build it.
        needs: how it has to be asked, where that is not the plain way.
        stochastic: whether it is declared to draw random numbers.
    """

    name: str
    architecture: ArchitectureSpec | None
    dataset: str
    num_classes: int
    threat_model: str
    factory_digest: str
    needs: Needs | None = None
    stochastic: bool = False


def blueprint_of(model: LoadedModel, *, dataset: str, threat_model: ThreatModel) -> Blueprint:
    """Say how to build `model`, which was loaded for `dataset` and `threat_model`, elsewhere."""
    return Blueprint(
        name=_absolute(model.name) if user_file.is_user_file(model.name) else model.name,
        architecture=model.architecture,
        dataset=dataset,
        num_classes=model.num_classes,
        threat_model=str(threat_model),
        factory_digest=model.factory_digest,
        needs=model.module.needs if isinstance(model.module, Adapted) else None,
        stochastic=is_stochastic(model.module),
    )


def rebuild(blueprint: Blueprint, *, device: torch.device) -> nn.Module:
    """Build the model, in eval mode and frozen; its tensors are not yet those of the driver.

    Raises:
        BenchError: if it cannot be built here, or the sources that build it are others here.
    """
    module, built_by = _built(blueprint, device)
    if built_by != blueprint.factory_digest:
        raise BenchError(
            f"Model {blueprint.name!r} is built by other code here ({built_by[:12]}) than where the run was started"
            f" ({blueprint.factory_digest[:12]}). Put the same files on every machine."
        )
    if blueprint.stochastic:
        module.stochastic = True  # type: ignore[assignment]
    return Adapted(module, blueprint.needs) if blueprint.needs is not None else module


def dump_state(module: nn.Module) -> bytes:
    """The module's tensors, to be read by `load_state`."""
    buffer = io.BytesIO()
    state = module.state_dict()
    torch.save({key: each.detach().cpu() if isinstance(each, Tensor) else each for key, each in state.items()}, buffer)
    return buffer.getvalue()


def load_state(module: nn.Module, content: bytes) -> None:
    """Give a module the tensors that `dump_state` wrote; only tensors are read, never code.

    Raises:
        BenchError: if they are not of such a module.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        module.load_state_dict(state, strict=True)
    except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise BenchError(f"The model built here does not take the tensors of the run: {reason}") from None


def _built(blueprint: Blueprint, device: torch.device) -> tuple[nn.Module, str]:
    if blueprint.architecture is not None:
        module = build_empty(blueprint.architecture).to_empty(device="cpu")
        return freeze(module, device), digest.architecture_digest(module, blueprint.architecture)
    wanted = Wanted(
        name=blueprint.name,
        dataset=blueprint.dataset,
        num_classes=blueprint.num_classes,
        threat_model=ThreatModel.parse(blueprint.threat_model),
        device=device,
        empty=True,
    )
    loaded = source_of(blueprint.name).load(wanted)
    return loaded.module, loaded.factory_digest


def _absolute(name: str) -> str:
    file, _, factory = name.rpartition(":")
    return f"{expanded(Path(file)).resolve()}:{factory}"
