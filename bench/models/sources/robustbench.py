"""Models of RobustBench: `robustbench:<ID>`, through the extra `zoo`.

RobustBench 1.1.1 downloads, builds and loads the model; torch reads its files with `weights_only`. Two things stand in
the way of that release and are handled here: it imports AutoAttack as `autoattack`, while the package on PyPI is called
`pyautoattack`, and it imports `pkg_resources`, which setuptools dropped in version 81 (the extra pins an earlier one).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import nn

from bench.core import digest as core_digest
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models import digest, weights
from bench.models.loaded import LoadedModel, freeze

__all__ = ["PREFIX", "cache_folder", "factories", "load", "names", "preprocessing"]

PREFIX = "robustbench:"
DATASETS = ("cifar10", "cifar100", "imagenet")
_IN_FILES = ("imagenet",)


def cache_folder() -> Path:
    """Where RobustBench's weights are kept: the user's cache."""
    return Path(platformdirs.user_cache_dir("bench")) / "robustbench"


def names(*, dataset: str, threat_model: ThreatModel) -> tuple[str, ...]:
    """The IDs that RobustBench has for `dataset` and the norm of `threat_model`, sorted.

    Raises:
        BenchError: if the extra `zoo` is not installed, or RobustBench has no such dataset.
    """
    return tuple(sorted(_entries(dataset, threat_model)))


def factories(*, dataset: str, threat_model: ThreatModel) -> dict[str, Any]:
    """The functions that build each ID's network, untrained; some IDs of RobustBench come from timm and have none.

    Raises:
        BenchError: as `names`.
    """
    entries = _entries(dataset, threat_model)
    return {name: entry["model"] for name, entry in entries.items() if callable(entry.get("model"))}


def preprocessing(name: str, *, dataset: str, threat_model: ThreatModel) -> Preprocessing | None:
    """How RobustBench makes a model's pixels of image files; None for datasets that it does not read from files.

    Args:
        name: `robustbench:<ID>`.
        dataset: "cifar10", "cifar100" or "imagenet".
        threat_model: picks RobustBench's list by its norm.

    Raises:
        UnknownNameError: if the list has no such ID.
        BenchError: if the extra `zoo` is not installed, or the model's transforms are not known here.
    """
    if dataset not in _IN_FILES:
        return None
    identifier = _identifier(name, _entries(dataset, threat_model), dataset, threat_model)
    utils = _imported()
    table = importlib.import_module("robustbench.data")
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = table.get_preprocessing(
                utils.BenchmarkDataset(dataset), utils.ThreatModel(str(threat_model.norm)), identifier, None
            )
        return _as_preprocessing(asked.transforms)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"RobustBench prepares the images of {name} in a way that bench does not know ({error}), so its pixels"
            " would be wrong."
        ) from error


def _as_preprocessing(transforms: Sequence[Any]) -> Preprocessing:
    """Torchvision's transforms as bench writes them down.

    Raises:
        ValueError: if they are more than a resize, a crop of the centre and the conversion to a tensor, in this order.
    """
    resize: int | tuple[int, int] | None = None
    crop, interpolation = None, "bilinear"
    names = [type(each).__name__ for each in transforms]
    if names != [name for name in ("Resize", "CenterCrop", "ToTensor") if name in names]:
        raise ValueError(f"transforms {', '.join(names)}")
    for each, kind in zip(transforms, names, strict=True):
        if kind == "Resize":
            height, width = (each.size, None) if isinstance(each.size, int) else each.size
            resize, interpolation = (height if width is None else (height, width)), each.interpolation.value
        elif kind == "CenterCrop":
            (crop, _) = each.size
    return Preprocessing(resize=resize, crop=crop, interpolation=interpolation)


def _identifier(name: str, entries: Mapping[str, Mapping[str, Any]], dataset: str, threat_model: ThreatModel) -> str:
    identifier = name.removeprefix(PREFIX)
    if identifier not in entries:
        raise UnknownNameError(f"RobustBench model for {dataset} and {threat_model.norm}", identifier, entries)
    return identifier


def load(
    name: str, *, dataset: str, num_classes: int, threat_model: ThreatModel, device: str | torch.device
) -> LoadedModel:
    """Load a model that RobustBench lists for `dataset` and the norm of `threat_model`, downloading it once.

    Args:
        name: `robustbench:<ID>`.
        dataset: "cifar10", "cifar100" or "imagenet".
        num_classes: classes of the dataset.
        threat_model: picks RobustBench's list by its norm.
        device: where the module goes.

    Raises:
        UnknownNameError: if the list has no such ID.
        BenchError: if the extra `zoo` is not installed, or the weights cannot be downloaded or read.
    """
    identifier = _identifier(name, _entries(dataset, threat_model), dataset, threat_model)
    module = freeze(_fetched(identifier, dataset, threat_model), device)
    version = importlib.metadata.version("robustbench")
    identity = ("robustbench", version, identifier, dataset, str(threat_model.norm))
    return LoadedModel(
        name=name,
        module=module,
        digest=digest.of_state(module.state_dict()),
        factory_digest=core_digest.of_bytes(*(each.encode() for each in identity)),
        num_classes=num_classes,
    )


def _entries(dataset: str, threat_model: ThreatModel) -> Mapping[str, Mapping[str, Any]]:
    if dataset not in DATASETS:
        raise BenchError(f"RobustBench has no models for {dataset!r}. Known: {', '.join(DATASETS)}.")
    utils = _imported()
    dataset_key = utils.BenchmarkDataset(dataset)
    lists: Mapping[Any, Mapping[str, Mapping[str, Any]]] = utils.all_models[dataset_key]
    key = utils.ThreatModel(str(threat_model.norm))
    if key not in lists:
        raise BenchError(f"RobustBench has no models for {dataset!r} under {threat_model.norm}.")
    return lists[key]


def _fetched(identifier: str, dataset: str, threat_model: ThreatModel) -> nn.Module:
    utils = _imported()
    norm = str(threat_model.norm)
    file = cache_folder() / dataset / norm / f"{identifier}.pt"
    try:
        # What it prints is progress, and belongs on stderr.
        with contextlib.redirect_stdout(sys.stderr):
            module: nn.Module = utils.load_model(
                model_name=identifier, model_dir=cache_folder(), dataset=dataset, threat_model=norm
            )
    except Exception as error:
        if file.is_file():
            _check_download(file)
        reason = (str(error).strip() or "no message").splitlines()[0][:200]
        raise BenchError(
            f"Cannot get {PREFIX}{identifier} ({type(error).__name__}: {reason})."
            f" It needs a network; or download its weights by hand to {file}"
        ) from error
    return module


def _check_download(file: Path) -> None:
    """Remove a download that holds no weights (Google Drive's page of apology), and say so."""
    try:
        weights.read(file)
    except BenchError as error:
        file.unlink()
        raise BenchError(f"{error} The download was removed; try again later.") from None


def _imported() -> Any:
    """RobustBench's `utils`, imported with what it misses."""
    if importlib.util.find_spec("robustbench") is None:
        raise BenchError("Models of RobustBench need the extra `zoo`: pip install 'robust-bench[zoo]'")
    try:
        with _autoattack_named_as_before(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources says that it is deprecated; timm, that modules have moved
            return importlib.import_module("robustbench.utils")
    except ImportError as error:
        raise BenchError(
            f"RobustBench cannot be imported ({error}); install it as bench pins it: pip install 'robust-bench[zoo]'"
        ) from error


@contextlib.contextmanager
def _autoattack_named_as_before() -> Iterator[None]:
    """Let `import autoattack` find pyautoattack, unless there is an `autoattack`; forget the alias at the end."""
    if importlib.util.find_spec("autoattack") is not None:
        yield
        return
    modules = {"autoattack": "pyautoattack", "autoattack.state": "pyautoattack.state"}
    sys.modules.update({alias: importlib.import_module(real) for alias, real in modules.items()})
    try:
        yield
    finally:
        for alias in modules:
            del sys.modules[alias]
