"""Models of RobustBench: `robustbench:<ID>`, through the extra `zoo`.

RobustBench 1.1.1 downloads, builds and loads the model; torch reads its files with `weights_only`. The numbers that it
publishes are read from its README, which the package carries; so is the epsilon of each of its lists. Two things stand
in the way of that release and are handled here: it imports AutoAttack as `autoattack`, while the package on PyPI is
called `pyautoattack`, and it imports `pkg_resources`, which setuptools dropped in version 81 (the extra pins an earlier
one).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs
import torch
from torch import nn

from bench.core import digest as core_digest
from bench.core.errors import BenchError, UnknownNameError
from bench.core.plain_text import reason_of
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models import digest, weights
from bench.models.loaded import LoadedModel, freeze
from bench.models.sources import library
from bench.models.sources.source import Source, Wanted

__all__ = ["ENTRY", "PREFIX", "ListedModel", "cache_folder", "factories", "knows", "names", "published"]

PREFIX = "robustbench:"
DATASETS = ("cifar10", "cifar100", "imagenet")
_IN_FILES = ("imagenet",)
_LIST = re.compile(r"#### (Linf|L2), eps=([0-9./]+)")
_MARKUP = re.compile(r"<[^>]*>|\*")


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


def preprocessing(name: str, dataset: str, threat_model: ThreatModel | None) -> Preprocessing | None:
    """How RobustBench makes a model's pixels of image files; None for datasets that it does not read from files.

    Args:
        name: `robustbench:<ID>`.
        dataset: "cifar10", "cifar100" or "imagenet".
        threat_model: picks RobustBench's list by its norm; Linf where None.

    Raises:
        UnknownNameError: if the list has no such ID.
        BenchError: if the extra `zoo` is not installed, or the model's transforms are not known here.
    """
    if dataset not in _IN_FILES:
        return None
    threat_model = threat_model or ThreatModel.parse("Linf:4/255")
    identifier = _identifier(name, _entries(dataset, threat_model), dataset, threat_model)
    utils = _imported()
    table = importlib.import_module("robustbench.data")
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = table.get_preprocessing(
                utils.BenchmarkDataset(dataset), utils.ThreatModel(str(threat_model.norm)), identifier, None
            )
        return library.as_preprocessing(asked.transforms)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"RobustBench prepares the images of {name} in a way that bench does not know ({error}), so its pixels"
            " would be wrong."
        ) from error


def _identifier(name: str, entries: Mapping[str, Mapping[str, Any]], dataset: str, threat_model: ThreatModel) -> str:
    identifier = name.removeprefix(PREFIX)
    if identifier in entries:
        return identifier
    elsewhere = _stated_of(identifier)
    if elsewhere:
        lists = ", ".join(f"{each.dataset} and {each.threat_model}" for each in elsewhere)
        raise BenchError(f"RobustBench lists {identifier!r} for {lists}, not for {dataset} and {threat_model.norm}.")
    raise UnknownNameError(f"RobustBench model for {dataset} and {threat_model.norm}", identifier, entries)


def load(wanted: Wanted) -> LoadedModel:
    """Load a model that RobustBench lists for a dataset and the norm of a threat model, downloading it once.

    Args:
        wanted: a model `robustbench:<ID>`; its `weights`, where given, are the file that RobustBench would download.

    Raises:
        UnknownNameError: if the list has no such ID.
        BenchError: if the extra `zoo` is not installed, or the weights cannot be downloaded or read.
    """
    dataset, threat_model = wanted.dataset, wanted.threat_model
    identifier = _identifier(wanted.name, _entries(dataset, threat_model), dataset, threat_model)
    if wanted.empty and not _comes_whole(identifier, dataset):
        module = _empty(identifier, dataset, threat_model)
    elif wanted.weights is not None and not wanted.empty:
        module = _given(identifier, dataset, threat_model, wanted.weights)
    else:
        module = _fetched(identifier, dataset, threat_model)
    freeze(module, wanted.device)
    version = importlib.metadata.version("robustbench")
    identity = ("robustbench", version, identifier, dataset, str(threat_model.norm))
    stated = [each.threat_model for each in _stated_of(identifier) if each.dataset == dataset]
    other = [each for each in stated if each.norm is threat_model.norm and each != threat_model]
    return LoadedModel(
        name=wanted.name,
        module=module,
        digest=digest.state_digest(module.state_dict()),
        factory_digest=core_digest.of_bytes(*(each.encode() for each in identity)),
        num_classes=wanted.num_classes,
        remarks=tuple(f"RobustBench's number for {identifier} is at {each}." for each in other),
    )


class ListedModel(NamedTuple):
    """What RobustBench states of a model: accuracies in percent of the whole test split, as text."""

    identifier: str
    dataset: str
    threat_model: ThreatModel
    clean: str
    robust: str
    architecture: str
    venue: str


def published(dataset: str | None = None) -> tuple[ListedModel, ...]:
    """Every model of RobustBench that can be loaded, with the numbers that it publishes, list after list.

    Args:
        dataset: "cifar10", "cifar100" or "imagenet"; None for all.

    Raises:
        BenchError: if the extra `zoo` is not installed, or RobustBench has no such dataset.
    """
    datasets = DATASETS if dataset is None else (dataset,)
    return tuple(
        each
        for each in _stated()
        if each.dataset in datasets and each.identifier in _entries(each.dataset, each.threat_model)
    )


def listing(dataset: str | None) -> list[dict[str, str]]:
    """Every model of `published`, as columns of a table."""
    return [
        {
            "name": f"{PREFIX}{each.identifier}",
            "dataset": each.dataset,
            "threat model": str(each.threat_model),
            "clean": each.clean,
            "robust": each.robust,
            "architecture": each.architecture,
            "venue": each.venue,
        }
        for each in published(dataset)
    ]


def default_threat_model(name: str, dataset: str) -> ThreatModel | None:
    """RobustBench's threat model for a model that it lists on a dataset under one norm alone.

    Raises:
        BenchError: if the extra `zoo` is not installed.
    """
    found = [each.threat_model for each in _stated_of(name.removeprefix(PREFIX)) if each.dataset == dataset]
    return found[0] if len(found) == 1 else None


def knows(identifier: str) -> bool:
    """Whether RobustBench, if it is installed, has a model of that ID."""
    return importlib.util.find_spec("robustbench") is not None and bool(_stated_of(identifier))


def _stated_of(identifier: str) -> list[ListedModel]:
    return [each for each in _stated() if each.identifier == identifier]


@functools.cache
def _stated() -> tuple[ListedModel, ...]:
    """The rows of the tables in RobustBench's README, under headings such as "CIFAR-10" and "L2, eps=0.5"."""
    library.required("robustbench", extra="zoo")
    text = importlib.metadata.metadata("robustbench").json.get("description", "")
    dataset, threat_model = "", None
    found = []
    for line in str(text).splitlines():
        if line.startswith("### "):
            dataset, threat_model = re.sub(r"[^a-z0-9]", "", line.lower()), None
        elif line.startswith("#### "):
            named = _LIST.match(line)
            threat_model = ThreatModel.parse(f"{named[1]}:{named[2]}") if named else None
        elif threat_model is not None and line.startswith("|"):
            cells = [_MARKUP.sub("", cell).strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 7 and cells[3].endswith("%"):
                clean, robust = (cell.rstrip("%") for cell in cells[3:5])
                found.append(ListedModel(cells[1], dataset, threat_model, clean, robust, cells[5], cells[6]))
    return tuple(found)


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


def _given(identifier: str, dataset: str, threat_model: ThreatModel, file: Path) -> nn.Module:
    """The model with a file of its weights that was fetched by hand, put where RobustBench looks for it."""
    files = _entries(dataset, threat_model)[identifier].get("gdrive_id")
    if isinstance(files, list):
        folder = cache_folder() / dataset / str(threat_model.norm)
        raise BenchError(
            f"{PREFIX}{identifier} has {len(files)} files of weights: put them at {folder / identifier}.pt_m0.pt and so"
            " on, and leave --weights out."
        )
    if _comes_whole(identifier, dataset):
        raise BenchError(
            f"{PREFIX}{identifier} has its weights from torchvision, and RobustBench reads no file for it: leave"
            " --weights out, or choose torchvision:NAME with it."
        )
    weights.check(file)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / dataset / str(threat_model.norm) / f"{identifier}.pt"
        place.parent.mkdir(parents=True)
        place.symlink_to(file.resolve())
        try:
            if files is None:  # RobustBench would download the published weights first
                network = _empty(identifier, dataset, threat_model).eval()
                _imported().timm.models.load_checkpoint(network, str(file))
                return network
            return _loaded(identifier, dataset, threat_model, Path(scratch), custom_checkpoint=str(file))
        except Exception as error:
            raise BenchError(f"Weights {file} do not load into {PREFIX}{identifier}: {reason_of(error)}") from error


def _comes_whole(identifier: str, dataset: str) -> bool:
    """Whether its weights come with its network, from torchvision; into all others RobustBench reads a file."""
    return dataset == "imagenet" and "Standard" in identifier


def _empty(identifier: str, dataset: str, threat_model: ThreatModel) -> nn.Module:
    """The network of a model, untrained; one without a file of RobustBench's own is timm's, under a longer name."""
    entry = _entries(dataset, threat_model)[identifier]
    if entry.get("gdrive_id") is not None:
        built: nn.Module = factories(dataset=dataset, threat_model=threat_model)[identifier]()
        return built
    utils = _imported()
    name = f"{identifier}_{dataset}_{threat_model.norm}".lower().replace("-", "_")
    network: nn.Module = utils.timm.create_model(
        name, num_classes=utils.DATASET_CLASSES[utils.BenchmarkDataset(dataset)]
    )
    return network


def _fetched(identifier: str, dataset: str, threat_model: ThreatModel) -> nn.Module:
    file = cache_folder() / dataset / str(threat_model.norm) / f"{identifier}.pt"
    try:
        return _loaded(identifier, dataset, threat_model, cache_folder())
    except Exception as error:
        if file.is_file():
            _check_download(file)
        drive = _entries(dataset, threat_model)[identifier].get("gdrive_id")
        what = f"https://drive.google.com/uc?id={drive}" if isinstance(drive, str) else "its weights"
        raise BenchError(
            f"{PREFIX}{identifier} is not at {file} and cannot be downloaded ({reason_of(error):.80}): download {what}"
            " to there, or give --weights FILE"
        ) from error


def _loaded(identifier: str, dataset: str, threat_model: ThreatModel, folder: Path, **options: str) -> nn.Module:
    with contextlib.redirect_stdout(sys.stderr):  # what it prints is progress
        module: nn.Module = _imported().load_model(
            model_name=identifier, model_dir=folder, dataset=dataset, threat_model=str(threat_model.norm), **options
        )
    return module


def _check_download(file: Path) -> None:
    """Remove a download that is empty or a page (Google Drive's apology); of any other fault, say which file it has."""
    try:
        weights.read(file)
    except BenchError as error:
        with file.open("rb") as start:
            head = start.read(64).strip()
        if head and not head.startswith(b"<"):
            raise BenchError(f"{error} RobustBench downloads it again once it is removed.") from None
        file.unlink()
        raise BenchError(f"{error} The download was removed; try again later.") from None


def _imported() -> Any:
    """RobustBench's `utils`, imported with what it misses."""
    library.required("robustbench", extra="zoo")
    with _autoattack_named_as_before():
        return library.imported("robustbench.utils", extra="zoo")


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


ENTRY = Source(
    name="robustbench",
    form="robustbench:ID",
    load=load,
    preprocessing=preprocessing,
    threat_model=default_threat_model,
    listing=listing,
)
