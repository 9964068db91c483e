"""Image classifiers on Hugging Face's hub: `hf:REPOSITORY[@REVISION]`, or `hf:FOLDER` with such a snapshot in it.

Those of transformers need the extra `hf`, those of timm the extra `timm`; code that a repository brings is never run.
Pixels are those of the repository's image processor: its numbers are read as a resize and a crop of the centre, and
held against what it does to an image of noise. The normalisation is a layer of the model.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bench.core import strict_json
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models import weights
from bench.models.building import MAX_PARAMETERS
from bench.models.loaded import LoadedModel
from bench.models.sources import download, library, timm
from bench.models.sources.source import Source, Wanted
from bench.storage import expanded, read_regular

__all__ = ["ENTRY"]

PREFIX = "hf:"
_MOST_BYTES = 16 << 20
_MOST_LAYERS = 1000
_LARGEST = 1_000_000
_ELSEWHERE = frozenset(
    {
        "cache_dir",
        "checkpoint_path",
        "pretrained",
        "pretrained_cfg_overlay",
        "pretrained_filter_fn",
        "use_pretrained_backbone",
    }
)
"""Settings through which a library would read other files, and in other ways, than it is asked to here."""
_NO_NAME = re.compile(r"LABEL_\d+")
_BYTE = 1 / 255
_TOLERANCE = 3 / 255
"""Mean difference between two libraries' resizing of noise; a crop that is off by one pixel gives ten times as much."""


def load(wanted: Wanted) -> LoadedModel:
    """Build the network that a snapshot's configuration names and load its weights.

    Raises:
        BenchError: if an extra is not installed, there is no such repository, revision or file, or the repository
            holds no image classifier that the library can build without code of the repository's.
    """
    if wanted.weights is not None:
        raise BenchError(f"Model {wanted.name!r} brings its own weights; leave --weights out.")
    snapshot = _snapshot(wanted.name)
    configuration = _configuration(snapshot.folder)
    remarks = (f"Weights of commit {snapshot.commit}.",) if snapshot.commit else ()
    if "architecture" in configuration:
        return _load_timm(wanted, snapshot.folder, configuration, remarks)
    network = _transformer(wanted, snapshot.folder, configuration)
    said = _processing(str(snapshot.folder))
    return library.finished(
        _Logits(network),
        wanted,
        library="transformers",
        mean=said.mean,
        std=said.std,
        class_names=_class_names(configuration),
        remarks=remarks,
    )


def preprocessing(name: str, dataset: str, threat_model: ThreatModel | None) -> Preprocessing:
    """What the repository's image processor does to an image file, less its normalisation."""
    del dataset, threat_model
    folder = _snapshot(name).folder
    configuration = _configuration(folder)
    if "architecture" in configuration:
        return timm.pixels(_timm_configuration(configuration), name)
    return _processing(str(folder)).preprocessing


class _Logits(nn.Module):
    """A classifier of transformers that answers with its logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of normalised images `(N, C, H, W)`."""
        logits: Tensor = self.network(pixel_values=inputs).logits
        return logits


class _Snapshot(NamedTuple):
    folder: Path
    commit: str | None


def _snapshot(name: str) -> _Snapshot:
    """The folder with a repository's files; a folder of that name comes first."""
    wanted = name.removeprefix(PREFIX)
    folder = expanded(Path(wanted))
    if folder.is_dir():
        return _Snapshot(folder, None)
    if wanted.startswith(("/", ".", "~")):
        raise BenchError(f"No folder {folder} for model {name!r}.")
    repository, _, revision = wanted.partition("@")
    return _Snapshot(*download.from_hub(name, repository, revision or None))


def _configuration(folder: Path) -> dict[str, Any]:
    """The snapshot's `config.json`, none of whose numbers is larger than any network needs.

    Raises:
        BenchError: if it is not there, no JSON object, asks for code, or asks for too much.
    """
    path = folder / "config.json"
    configuration = _json(path)
    if "quantization_config" in configuration:
        raise BenchError(
            f"{path} asks for quantised weights, through which there are no gradients: load them in a file.py:factory,"
            " for --suite blackbox-v1."
        )
    for key, value in _entries(configuration):
        code = key.endswith("_implementation") and isinstance(value, str) and "/" in value  # a kernel of the hub's
        if code or (key in _ELSEWHERE and value):
            raise BenchError(f"{path} asks for {key!r}, which would bring code or files from elsewhere: refused.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        most = _MOST_LAYERS if "layer" in key or "depth" in key else _LARGEST
        if abs(value) > most:
            raise BenchError(f"Expected {key!r} in {path} to be at most {most:,}, but got {value:g}.")
    return configuration


def _json(path: Path) -> dict[str, Any]:
    try:
        content = strict_json.loads(read_regular(path, most_bytes=_MOST_BYTES).decode())
    except FileNotFoundError:
        raise BenchError(f"Expected a snapshot of a model in {path.parent}, but it has no {path.name}.") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"Cannot read {path}: {reason_of(error)}") from None
    if not isinstance(content, dict):
        raise BenchError(f"Expected a JSON object in {path}, but got a {type(content).__name__}.")
    return content


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting at any depth, less the names of classes."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name not in ("id2label", "label2id", "label_names", "label_descriptions"):
                yield str(name), each
                yield from _entries(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield key, each
            yield from _entries(each, key)


def _transformer(wanted: Wanted, folder: Path, configuration: Mapping[str, Any]) -> nn.Module:
    """The network of transformers, in float32; as drawn at random for one that is wanted empty."""
    transformers = library.imported("transformers", extra="hf")
    kind = configuration.get("model_type")
    if kind not in transformers.CONFIG_MAPPING or str(kind).startswith("timm"):
        own = "; its repository brings code of its own, which bench does not run" if "auto_map" in configuration else ""
        raise BenchError(f"{wanted.name!r} is of type {kind!r:.60}, which transformers does not have{own}.")
    loader = library.imported("transformers.models.auto.modeling_auto", extra="hf").AutoModelForImageClassification
    try:
        with library.quiet(), _silent(transformers), torch.random.fork_rng(devices=[]):
            settled = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            if type(settled) not in loader._model_mapping:
                raise BenchError(f"Transformers has no image classifier of type {kind!r} ({wanted.name!r}).")
            if wanted.empty:
                empty: nn.Module = loader.from_config(settled, trust_remote_code=False).float()
                return empty
            return _filled(loader, settled, folder)
    except BenchError:
        raise
    except Exception as error:  # transformers raises whatever its some hundred architectures do
        raise BenchError(f"transformers cannot load {wanted.name!r}: {reason_of(error)}") from error


def _filled(loader: Any, settled: Any, folder: Path) -> nn.Module:
    with torch.device("meta"):
        planned = loader.from_config(settled, trust_remote_code=False)
    count = sum(parameter.numel() for parameter in planned.parameters())
    if count > MAX_PARAMETERS:
        raise BenchError(f"Expected at most {MAX_PARAMETERS:,} parameters, but {folder} asks for {count:,}.")
    _check_weights(folder)
    network, found = loader.from_pretrained(
        folder,
        config=settled,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        dtype=torch.float32,
    )
    lacking = sorted(found["missing_keys"]) + sorted(key for key, *_ in found["mismatched_keys"])
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise BenchError(f"The weights in {folder} lack {lacking[0]!r}{more}: they are not of this image classifier.")
    filled: nn.Module = network
    return filled


def _check_weights(folder: Path) -> None:
    """Refuse what is no weights before any library reads it; an index names files of its own folder alone."""
    file = download.weights_in(folder)
    if file is None:
        raise BenchError(f"Expected weights in {folder}: model.safetensors, or pytorch_model.bin.")
    if file.suffix != ".json":
        weights.check(file)
        return
    shards = _json(file).get("weight_map")
    names = set(shards.values()) if isinstance(shards, dict) else set()
    for name in sorted(names, key=str):
        if not isinstance(name, str) or Path(name).name != name:
            raise BenchError(f"Expected names of files in {file}, but got {name!r:.60}.")
        weights.check(folder / name)


@contextlib.contextmanager
def _silent(transformers: Any) -> Iterator[None]:
    """Keep transformers' reports and bars to itself, and it off the network; put its settings back."""
    logging = transformers.utils.logging
    constants = library.imported("huggingface_hub.constants", extra="hf")
    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class _Processing(NamedTuple):
    preprocessing: Preprocessing
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def _processing(folder: str) -> _Processing:
    """What a snapshot's image processor does.

    Raises:
        BenchError: if there is none, or it does more than a resize, a crop of the centre and a normalisation.
    """
    transformers = library.imported("transformers", extra="hf")
    if not any((Path(folder) / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise BenchError(f"Expected a preprocessor_config.json in {folder}, which says what pixels the model takes.")
    try:
        with library.quiet(), _silent(transformers):
            processor = transformers.AutoImageProcessor.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise BenchError(f"transformers cannot load the image processor in {folder}: {reason_of(error)}") from error
    factor = float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 1.0
    if abs(factor - _BYTE) > 1e-9:
        raise BenchError(
            f"The image processor in {folder} leaves [0, 1]: it multiplies bytes by {factor:.6g}, not by 1/255."
        )
    try:
        found = _read(processor)
        theirs, ours = _of_noise(processor, found)
    except Exception as error:  # of a processor of any kind, on numbers that a stranger wrote
        raise _unknown(folder, reason_of(error)) from error
    apart = float(np.abs(theirs - ours).mean()) if theirs.shape == ours.shape else None
    if apart is None or not apart <= _TOLERANCE / float(np.mean(found.std or 1)):
        raise _unknown(folder, f"{found.preprocessing} is not what {type(processor).__name__} does")
    return found


def _unknown(folder: str, why: str) -> BenchError:
    return BenchError(f"The image processor in {folder} prepares images in a way that bench does not know ({why}).")


def _read(processor: Any) -> _Processing:
    """The numbers of an image processor as torchvision's transforms.

    Raises:
        ValueError: if they are of another kind.
    """
    size = {key: value for key, value in dict(processor.size or {}).items() if value is not None}
    crop = {key: value for key, value in dict(getattr(processor, "crop_size", None) or {}).items() if value is not None}
    share = getattr(processor, "crop_pct", None)
    resize: int | tuple[int, int] | None = None
    cut = None
    if getattr(processor, "do_center_crop", False):
        if crop["height"] != crop["width"]:
            raise ValueError(f"a crop to {crop}")
        cut = int(crop["height"])
    if processor.do_resize and set(size) == {"shortest_edge"}:
        resize = int(size["shortest_edge"])
        if share is not None and cut is None:  # ConvNeXt's: a share of the resized image, less for large ones
            resize, cut = (int(resize / share), resize) if resize < 384 else ((resize, resize), None)
    elif processor.do_resize:
        resize = (int(size["height"]), int(size["width"]))
    interpolation = _interpolation(processor.resample)
    normalised = bool(processor.do_normalize)
    mean, std = (
        tuple(map(float, each)) if normalised else None for each in (processor.image_mean, processor.image_std)
    )
    return _Processing(Preprocessing(resize=resize, crop=cut, interpolation=interpolation), mean, std)


def _interpolation(resample: Any) -> str:
    """Torchvision's name of one of Pillow's filters."""
    if not isinstance(resample, int):
        return str(resample.value)
    return Image.Resampling(resample).name.lower()


def _of_noise(processor: Any, found: _Processing) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One image of noise as the processor and as bench prepare it, `(C, H, W)`."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (281, 397, 3), dtype=np.uint8))
    with library.quiet():
        theirs = np.asarray(processor(noise, return_tensors="np")["pixel_values"], dtype=np.float32)[0]
    ours = found.preprocessing.prepared(noise).astype(np.float32) / 255
    if found.mean is not None and found.std is not None:
        mean, std = (np.array(each, dtype=np.float32)[:, None, None] for each in (found.mean, found.std))
        ours = (ours - mean) / std
    return theirs, ours


def _class_names(configuration: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What the logits stand for; None where the configuration has no names, or only numbered ones."""
    labels = configuration.get("id2label")
    try:
        names = tuple(str(labels[str(number)]) for number in range(len(labels)))  # type: ignore[index,arg-type]
    except (TypeError, LookupError):
        return None
    return None if not names or all(_NO_NAME.fullmatch(each) for each in names) else names


def _load_timm(wanted: Wanted, folder: Path, configuration: Mapping[str, Any], remarks: tuple[str, ...]) -> LoadedModel:
    """A network of timm's that lies on the hub."""
    architecture = str(configuration["architecture"])
    if ":" in architecture or "/" in architecture:  # timm would go to another place with it
        raise BenchError(f"Expected the name of a network of timm's in {folder}, but got {architecture!r:.60}.")
    settings = _timm_configuration(configuration)
    given = configuration.get("model_args", {})
    arguments = {**(given if isinstance(given, dict) else {}), "num_classes": settings.get("num_classes", 1000)}
    network = timm.built(wanted.name, architecture, **arguments)
    if not wanted.empty:
        file = download.weights_in(folder)
        if file is None or file.suffix == ".json":
            raise BenchError(f"Expected weights in {folder}: model.safetensors, or pytorch_model.bin.")
        network, said = timm.filled(network, wanted.name, architecture, file, **arguments)
        remarks += said
    names = settings.get("label_names")
    return timm.finished(
        network, wanted, settings, class_names=names if isinstance(names, list) else None, remarks=remarks
    )


def _timm_configuration(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What a `config.json` of timm says of its weights, in either of its two forms."""
    inner = configuration.get("pretrained_cfg")
    outer = {key: configuration[key] for key in ("num_classes", "label_names") if key in configuration}
    return {**(inner if isinstance(inner, dict) else configuration), **outer}


ENTRY = Source(name="hf", form="hf:REPOSITORY[@REVISION] or hf:FOLDER", load=load, preprocessing=preprocessing)
