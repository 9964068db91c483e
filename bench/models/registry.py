"""Names to models: the one entry to everything that can be evaluated."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.data import DATASETS, FOLDER, advice
from bench.models import store
from bench.models.adapting import adapted, remarks_on
from bench.models.answers import check_answers
from bench.models.checkpoint import read_weights, weights_path
from bench.models.class_order import class_order
from bench.models.digest import state_digest
from bench.models.loaded import LoadedModel
from bench.models.sources import Wanted, source_of
from bench.models.sources.package import entry_points
from bench.models.zoo import ZOO, ModelSpec
from bench.storage import expanded

if TYPE_CHECKING:
    from bench.data import Dataset, Preprocessing

__all__ = [
    "Listing",
    "default_threat_model",
    "installed",
    "listing",
    "load",
    "names",
    "preprocessing",
    "shipped_digest",
]

PROBE_EXAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of `bench list models`.

    Args:
        spec: what the zoo says.
        datasets: those with a checkpoint.
    """

    spec: ModelSpec
    datasets: tuple[str, ...]


def names() -> tuple[str, ...]:
    """The models of the zoo, sorted; whether one has a checkpoint is in `listing`."""
    return ZOO.names()


def listing() -> tuple[Listing, ...]:
    """The models of the zoo, each with the datasets that it has a checkpoint for."""
    return tuple(Listing(spec=spec, datasets=store.available(spec.name)) for spec in ZOO)


def shipped_digest(name: str, dataset: str) -> str | None:
    """Digest of the weights that come with bench, as rows and results of analyses have it.

    Args:
        name: of the zoo.
        dataset: that they were trained on.

    Returns:
        None where there are none.
    """
    folder = store.model_folder(name)
    if folder is None or dataset not in store.available(name):
        return None
    # Modules hold float32, whatever a file stores.
    state = read_weights(weights_path(folder, dataset))
    return state_digest({key: value.float() if value.is_floating_point() else value for key, value in state.items()})


def installed() -> dict[str, str]:
    """The models that other packages add, each with the package."""
    return {name: each.dist.name if each.dist is not None else "" for name, each in sorted(entry_points().items())}


def load(
    name: str,
    *,
    dataset: Dataset,
    weights: Path | None = None,
    weights_key: str | None = None,
    threat_model: ThreatModel | None = None,
    device: str | torch.device = "cpu",
    check: bool = True,
    stochastic: bool = False,
) -> LoadedModel:
    """Load a model, in eval mode and with frozen parameters.

    Args:
        name: in any form of `bench.models.sources`: "aw-net", "timm:resnet18", "path/to/file.py:factory".
        dataset: what it will be evaluated on: picks the checkpoint, and gives the images of the probe.
        weights: a weights file, for models that do not bring their own.
        weights_key: where in that file, a dotted path; None for anywhere.
        threat_model: picks RobustBench's list; the default where None. Other models do not depend on it.
        device: where the module goes.
        check: probe the model on a few images (see `bench.models.answers`).
        stochastic: declare that it is, whatever it says itself.

    Raises:
        UnknownNameError: if there is no such model.
        BenchError: if it cannot be loaded, or does not pass the probe.
    """
    if weights_key is not None and weights is None:
        raise BenchError("Expected --weights beside --weights-key: it says where in that file the weights lie.")
    wanted = Wanted(
        name=name,
        dataset=dataset.base or dataset.name,
        num_classes=dataset.num_classes,
        threat_model=threat_model or default_threat_model([name], dataset),
        device=device,
        weights=expanded(weights) if weights is not None else None,
        weights_key=weights_key,
    )
    loaded = source_of(name).load(wanted)
    if stochastic:
        loaded.module.stochastic = True  # type: ignore[assignment]
    inputs = dataset.examples[:PROBE_EXAMPLES].inputs.to(device)
    module = adapted(loaded.module, inputs)
    if check:
        check_answers(
            module,
            inputs,
            num_classes=dataset.num_classes,
            name=name,
            dataset=dataset.name,
            advice=functools.partial(advice, dataset),
        )
    remarks = (*loaded.remarks, *class_order(loaded, dataset), *remarks_on(module))
    return replace(loaded, module=module, remarks=remarks)


def default_threat_model(models: Sequence[str], dataset: Dataset) -> ThreatModel:
    """What models are evaluated under unless another threat model is asked for.

    It is the dataset's default, but for models whose source lists them for another norm alone.

    Raises:
        BenchError: if the models are made for different ones.
    """
    usual = dataset.default_threat_model
    found = {}
    for name in models:
        asked = source_of(name).threat_model
        own = asked(name, dataset.base or dataset.name) if asked is not None else None
        found[name] = usual if own is None or own.norm is usual.norm else own
    first, *others = found
    differs = next((each for each in others if found[each] != found[first]), None)
    if differs is not None:
        raise BenchError(
            f"Models {first!r} and {differs!r} are made for {found[first]} and {found[differs]}: choose one with"
            " --threat-model."
        )
    return found[first]


def preprocessing(name: str, *, dataset: str, threat_model: ThreatModel | None = None) -> Preprocessing | None:
    """How the images of a dataset become the pixels that a model is made for.

    Args:
        name: as in `load`.
        dataset: the dataset's name, or the user's own.
        threat_model: as in `load`.

    Returns:
        What the model's source says, else the dataset's own; None where it does not lie in image files, or the user's
        own are taken as they are.

    Raises:
        BenchError: if there is no such model, or its pixels are made in a way that is not known here.
    """
    spec = DATASETS.get(dataset) if dataset in DATASETS else None
    usual = spec.preprocessing if spec is not None else None
    if usual is None and not dataset.startswith(FOLDER):
        return None
    asked = source_of(name).preprocessing
    own = asked(name, spec.base or spec.name if spec is not None else dataset, threat_model) if asked else None
    return own or usual
