"""Names to models: the one entry to everything that can be evaluated."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.data import DATASETS, advice
from bench.models import store
from bench.models.adapting import adapted, remarks_on
from bench.models.loaded import LoadedModel
from bench.models.probe import probe
from bench.models.sources import robustbench, shipped, user_file
from bench.models.zoo import ZOO, ModelSpec
from bench.storage.place import expanded

if TYPE_CHECKING:
    from bench.data import Dataset, Preprocessing

__all__ = ["Listing", "listing", "load", "names", "preprocessing"]

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


def load(
    name: str,
    *,
    dataset: Dataset,
    weights: Path | None = None,
    weights_key: str | None = None,
    threat_model: ThreatModel | None = None,
    device: str | torch.device = "cpu",
    check: bool = True,
) -> LoadedModel:
    """Load a model, in eval mode and with frozen parameters.

    Args:
        name: a model of the zoo ("aw-net"), "robustbench:<ID>", or "path/to/file.py:factory".
        dataset: what it will be evaluated on: picks the checkpoint, and gives the images of the probe.
        weights: a weights file, for models of the zoo and of a file.
        weights_key: where in that file, a dotted path; None for anywhere.
        threat_model: picks RobustBench's list; the dataset's default where None. Other models do not depend on it.
        device: where the module goes.
        check: probe the model on a few images (see `bench.models.probe`).

    Raises:
        UnknownNameError: if there is no such model.
        BenchError: if it cannot be loaded, or does not pass the probe.
    """
    if weights_key is not None and weights is None:
        raise BenchError("Expected --weights beside --weights-key: it says where in that file the weights lie.")
    weights = expanded(weights) if weights is not None else None
    loaded = _loaded(name, dataset, weights, weights_key, threat_model or dataset.default_threat_model, device)
    inputs = dataset.examples[:PROBE_EXAMPLES].inputs.to(device)
    module = adapted(loaded.module, inputs)
    if check:
        probe(
            module,
            inputs,
            num_classes=dataset.num_classes,
            name=name,
            dataset=dataset.name,
            advice=functools.partial(advice, dataset),
        )
    return replace(loaded, module=module, remarks=(*loaded.remarks, *remarks_on(module)))


def preprocessing(name: str, *, dataset: str, threat_model: ThreatModel | None = None) -> Preprocessing | None:
    """How the images of a dataset become the pixels that a model is made for.

    Args:
        name: as in `load`.
        dataset: the dataset's name, or the user's own.
        threat_model: as in `load`.

    Returns:
        What RobustBench says of its models, else the dataset's own; None where it does not lie in image files.

    Raises:
        UnknownNameError: if RobustBench has no such model.
        BenchError: if the extra `zoo` is not installed.
    """
    if dataset not in DATASETS:
        return None
    spec = DATASETS.get(dataset)
    if not name.startswith(robustbench.PREFIX) or spec.preprocessing is None:
        return spec.preprocessing
    return robustbench.preprocessing(
        name, dataset=spec.base or spec.name, threat_model=threat_model or spec.threat_models[0]
    )


def _loaded(
    name: str,
    dataset: Dataset,
    weights: Path | None,
    weights_key: str | None,
    threat_model: ThreatModel,
    device: str | torch.device,
) -> LoadedModel:
    classes = dataset.num_classes
    if name.startswith(robustbench.PREFIX):
        if weights is not None:
            raise BenchError(f"Model {name!r} brings its own weights; leave --weights out.")
        return robustbench.load(
            name, dataset=dataset.base or dataset.name, num_classes=classes, threat_model=threat_model, device=device
        )
    if user_file.matches(name):
        return user_file.load(name, weights=weights, weights_key=weights_key, num_classes=classes, device=device)
    return shipped.load(
        name, weights=weights, weights_key=weights_key, dataset=dataset.name, num_classes=classes, device=device
    )
