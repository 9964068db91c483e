"""Torchvision's classifiers: `torchvision:NAME[@WEIGHTS]`, such as `torchvision:resnet50@IMAGENET1K_V1`.

Without `@` the weights are those that torchvision calls its default. With `--weights FILE` the network is built for the
classes of the data and takes the file; pixels and normalisation are still those of the named weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.core.errors import UnknownNameError
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models import checkpoint
from bench.models.fitting import fit
from bench.models.loaded import LoadedModel
from bench.models.sources import download, library
from bench.models.sources.source import Source, Wanted

__all__ = ["ENTRY"]

_OWN_NORMALISATION = ("googlenet", "inception_v3")
"""Their weights expect pixels in [-1, 1], which the network makes of ImageNet's normalisation."""
_OF_PIXELS = (
    "{0} is built as for torchvision's weights, with transform_input=True: is the file of a network made without them,"
    " build that in file.py:factory instead, since torchvision then leaves its inputs as they are."
)
_OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$")


def load(wanted: Wanted) -> LoadedModel:
    """Build the network and load its weights.

    Raises:
        UnknownNameError: if torchvision has no such classifier, or no such weights of it.
        BenchError: if the weights are not at hand, or do not fit.
    """
    named = _named(wanted.name)
    published = wanted.weights is None and not wanted.empty
    classes = len(named.weights.meta["categories"]) if published else wanted.num_classes
    with library.quiet():
        network = named.builder(weights=None, num_classes=classes, **_made_with(named))
    remarks: tuple[str, ...] = ()
    if not wanted.empty:
        file = wanted.weights or download.from_address(named.weights.url, wanted.name)
        states = checkpoint.load_states(file, key=wanted.weights_key)
        if named.architecture.startswith("densenet"):
            states = {place: _renamed(state) for place, state in states.items()}
        remarks = fit(network, states, name=repr(wanted.name), path=file)
        remarks += download.remark_on(file) if published else ()
        if not published and named.architecture in _OWN_NORMALISATION:
            remarks += (_OF_PIXELS.format(named.architecture),)
    if named.architecture == "googlenet":  # heads that only training uses; torchvision drops them, too
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    prepared = named.weights.transforms()
    return library.finished(
        network,
        wanted,
        library="torchvision",
        mean=prepared.mean,
        std=prepared.std,
        class_names=named.weights.meta["categories"] if published else None,
        remarks=remarks,
    )


def preprocessing(name: str, dataset: str, threat_model: ThreatModel | None) -> Preprocessing:
    """What the weights' own transforms do to an image file."""
    del dataset, threat_model
    prepared = _named(name).weights.transforms()
    (crop,), resize = prepared.crop_size, prepared.resize_size
    size = resize[0] if len(resize) == 1 else (resize[0], resize[1])
    return Preprocessing(resize=size, crop=crop, interpolation=prepared.interpolation.value)


def listing(dataset: str | None) -> list[dict[str, str]]:
    """Every classifier with each of its weights, and the accuracy on ImageNet that torchvision states."""
    from torchvision import models

    if dataset not in (None, "imagenet"):
        return []
    return [
        {
            "name": f"torchvision:{name}@{each.name}",
            "dataset": "imagenet",
            "clean": f"{each.meta['_metrics']['ImageNet-1K']['acc@1']:.2f}",
        }
        for name in models.list_models(module=models)
        for each in models.get_model_weights(name)
    ]


class _Named(NamedTuple):
    architecture: str
    builder: Any
    weights: Any


def _made_with(named: _Named) -> dict[str, Any]:
    """What torchvision itself builds the network with where it is to take these weights, but for the classes."""
    if named.architecture in _OWN_NORMALISATION:
        return {"transform_input": True, "init_weights": False}
    if named.architecture.startswith("vit_"):
        return {"image_size": named.weights.meta["min_size"][0]}
    return {}


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict in the names of today; DenseNet's published files are older."""
    return {_OLD_NAME.sub(r"\1\2", key): entry for key, entry in state.items()}


def _named(name: str) -> _Named:
    """The function that builds a network, and the weights that the name asks for.

    Raises:
        UnknownNameError: if torchvision has no such.
    """
    from torchvision import models

    architecture, _, wanted = name.partition(":")[2].partition("@")
    known = models.list_models(module=models)
    if architecture not in known:
        raise UnknownNameError("classifier of torchvision", architecture, known)
    choices = models.get_model_weights(architecture)
    entry = getattr(choices, wanted or "DEFAULT", None) if (wanted or "DEFAULT").isidentifier() else None
    if not isinstance(entry, choices):
        raise UnknownNameError(f"weights of torchvision's {architecture}", wanted, choices.__members__)
    return _Named(architecture, models.get_model_builder(architecture), entry)


ENTRY = Source(
    name="torchvision",
    form="torchvision:NAME[@WEIGHTS]",
    load=load,
    preprocessing=preprocessing,
    listing=listing,
)
