"""Models of timm: `timm:NAME`, such as `timm:resnet18.a1_in1k`, through the extra `timm`.

The weights come from the hub's cache, or from torch's for the few that are elsewhere. With `--weights FILE` the network
is built for the classes of the data and takes the file; pixels and normalisation are still those of the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.core.errors import BenchError, nearest
from bench.core.plain_text import reason_of
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models import checkpoint
from bench.models.building import MAX_PARAMETERS
from bench.models.fitting import fit
from bench.models.loaded import LoadedModel
from bench.models.sources import download, library
from bench.models.sources.source import Source, Wanted

__all__ = ["ENTRY", "built", "filled", "finished", "pixels"]


def load(wanted: Wanted) -> LoadedModel:
    """Build the network and load its weights.

    Raises:
        BenchError: if the extra is not installed, timm has no such model, or its weights are not at hand or do not fit.
    """
    name, architecture = wanted.name, wanted.name.partition(":")[2]
    configuration = _configuration(name)
    if wanted.empty or wanted.weights is not None:
        network = built(name, architecture, num_classes=wanted.num_classes)
        remarks: tuple[str, ...] = ()
        if wanted.weights is not None and not wanted.empty:
            states = checkpoint.load_states(wanted.weights, key=wanted.weights_key)
            remarks = fit(network, states, name=repr(name), path=wanted.weights)
        return finished(network, wanted, configuration, remarks=remarks)
    file, commit = _published(name, configuration)
    network, remarks = filled(built(name, architecture), name, architecture, file)
    known = (f"Weights of {configuration['hf_hub_id']}, commit {commit}.",) if commit else download.remark_on(file)
    class_names = _class_names(configuration)
    return finished(network, wanted, configuration, class_names=class_names, remarks=(*remarks, *known))


def preprocessing(name: str, dataset: str, threat_model: ThreatModel | None) -> Preprocessing:
    """What timm's transforms for evaluation do to an image file."""
    del dataset, threat_model
    return pixels(_configuration(name), name)


def listing(dataset: str | None) -> list[dict[str, str]]:
    """Every model with published weights for ImageNet; timm has none for other datasets."""
    if dataset not in (None, "imagenet"):
        return []
    timm = library.imported("timm", extra="timm")
    with library.quiet():
        return [{"name": f"timm:{each}", "dataset": "imagenet"} for each in timm.list_pretrained("*in1k*")]


def built(name: str, architecture: str, **arguments: Any) -> nn.Module:
    """The network, its weights drawn at random.

    Args:
        name: of the model, for messages.
        architecture: as timm calls it.
        arguments: of `timm.create_model`.

    Raises:
        BenchError: if timm has no such network, or it refuses the arguments.
    """
    timm = library.imported("timm", extra="timm")
    _check_size(timm, name, architecture, arguments)
    try:
        with library.quiet(), torch.random.fork_rng(devices=[]):
            network: nn.Module = timm.create_model(architecture, pretrained=False, **arguments)
    except Exception as error:
        raise BenchError(f"timm cannot build {name!r}: {reason_of(error)}") from error
    return network


def _check_size(timm: Any, name: str, architecture: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a network that is larger than any that is meant, before it takes memory."""
    try:
        with library.quiet(), torch.device("meta"):
            planned = timm.create_model(architecture, pretrained=False, **arguments)
    except Exception:  # noqa: BLE001 - some of an older timm's cannot be planned; whoever builds it says what is wrong
        return
    count = sum(parameter.numel() for parameter in planned.parameters())
    if count > MAX_PARAMETERS:
        raise BenchError(f"Expected at most {MAX_PARAMETERS:,} parameters, but {name!r} asks for {count:,}.")


def filled(
    network: nn.Module, name: str, architecture: str, file: Path, **arguments: Any
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network with the weights of a file that was published for it, and remarks.

    Names that an older timm gave are translated by timm; what it then leaves out would be drawn at random.

    Args:
        network: as `built` with the same arguments.
        name: of the model, for messages.
        architecture: as timm calls it.
        file: of the weights.
        arguments: of `timm.create_model`.

    Raises:
        BenchError: if they do not fit.
    """
    states = checkpoint.load_states(file)
    try:
        return network, fit(network, states, name=repr(name), path=file)
    except BenchError as misfit:
        timm = library.imported("timm", extra="timm")
        state = next(iter(states.values()))
        made = []
        for seed in range(2):
            try:
                with library.quiet(), torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    overlay = {"state_dict": dict(state)}
                    made.append(
                        timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
                    )
            except Exception:  # noqa: BLE001 - timm's reasons run over many lines; ours has said what does not fit
                raise misfit from None
        first, second = (each.state_dict() for each in made)
        if any(not torch.equal(first[key], second[key]) for key in first):
            raise misfit
        return made[0], ("timm has translated the names of the weights.",)


def finished(
    network: nn.Module,
    wanted: Wanted,
    configuration: Mapping[str, Any],
    *,
    class_names: Sequence[str] | None = None,
    remarks: tuple[str, ...] = (),
) -> LoadedModel:
    """The network behind the normalisation that it was trained with, as timm's configuration says."""
    asked = _asked(configuration)
    return library.finished(
        network,
        wanted,
        library="timm",
        mean=asked["mean"],
        std=asked["std"],
        class_names=class_names,
        remarks=remarks,
    )


def pixels(configuration: Mapping[str, Any], name: str) -> Preprocessing:
    """How image files become the pixels that a network of timm's is made for.

    Raises:
        BenchError: if that is more than a resize and a crop of the centre.
    """
    create = library.imported("timm.data", extra="timm").create_transform
    try:
        with library.quiet():
            return library.as_preprocessing(create(**_asked(configuration), is_training=False).transforms)
    except Exception as error:  # whatever timm raises for a configuration that a stranger wrote
        raise BenchError(
            f"timm prepares the images of {name!r} in a way that bench does not know ({reason_of(error)}), so its"
            " pixels would be wrong."
        ) from error


def _asked(configuration: Mapping[str, Any]) -> dict[str, Any]:
    resolve = library.imported("timm.data", extra="timm").resolve_data_config
    asked: dict[str, Any] = resolve({}, pretrained_cfg=dict(configuration))
    return asked


def _configuration(name: str) -> dict[str, Any]:
    """What timm says of a model and its published weights.

    Raises:
        BenchError: if it has no such model.
    """
    timm = library.imported("timm", extra="timm")
    architecture = name.partition(":")[2]
    stem = architecture.partition(".")[0]
    with library.quiet():
        known = timm.is_model(stem)
        if not known or ("." in architecture and not timm.is_model_pretrained(architecture)):
            choices = timm.list_pretrained(f"{stem}.*") if known else timm.list_models()
            close = nearest(architecture, choices)
            hint = f" Did you mean 'timm:{close}'?" if close else ""
            raise BenchError(f"Unknown model of timm {architecture!r}.{hint} timm.list_pretrained() names all.")
        found = timm.get_pretrained_cfg(architecture)
    configuration: dict[str, Any] = found.to_dict() if found is not None else {}
    return configuration


def _published(name: str, configuration: Mapping[str, Any]) -> tuple[Path, str | None]:
    """The file of the published weights, and the commit that it is of where it lies on the hub."""
    repository, address = (configuration.get(each) for each in ("hf_hub_id", "url"))
    if repository:
        snapshot = download.from_hub(name, repository, None, configured=False)
        other = configuration.get("hf_hub_filename")
        file = snapshot.folder / other if other else download.weights_in(snapshot.folder)
        if file is not None and file.is_file():
            return file, snapshot.commit
    if address:
        return download.from_address(address, name), None
    raise BenchError(f"timm has no weights of {name!r}: name a version that has some, or give --weights FILE.")


def _class_names(configuration: Mapping[str, Any]) -> list[str] | None:
    """What the logits of a network for ImageNet stand for; None where timm does not say."""
    info = library.imported("timm.data", extra="timm")
    subset = info.infer_imagenet_subset(dict(configuration))
    names: list[str] | None = info.ImageNetInfo(subset).label_descriptions() if subset else None
    return names


ENTRY = Source(name="timm", form="timm:NAME", load=load, preprocessing=preprocessing, listing=listing)
