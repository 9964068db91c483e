"""What the sources that build a library's models share: its import, its transforms, its normalisation."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from bench.core import digest as core_digest
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.data import Preprocessing
from bench.models import digest
from bench.models.loaded import LoadedModel, freeze
from bench.models.normalize import Normalize
from bench.models.sources.source import Wanted

__all__ = ["as_preprocessing", "finished", "imported", "quiet", "required"]

_STEPS = ("Resize", "CenterCrop", "ToTensor")
_ALSO_CALLED = {"MaybeToTensor": "ToTensor"}


def imported(module: str, *, extra: str) -> Any:
    """Import a module of a library that an extra brings.

    Raises:
        BenchError: if it is not installed, or cannot be imported.
    """
    required(module.partition(".")[0], extra=extra)
    try:
        with quiet():
            return importlib.import_module(module)
    except Exception as error:
        raise BenchError(
            f"{module} cannot be imported ({reason_of(error)}); install it anew: pip install 'robust-bench[{extra}]'"
        ) from error


def required(package: str, *, extra: str) -> None:
    """Say which extra brings a package that is not installed.

    Raises:
        BenchError: if it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise BenchError(
            f"Models of this kind need {package}, which the extra `{extra}` brings: pip install 'robust-bench[{extra}]'"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's warnings to itself, and what it prints off stdout."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def as_preprocessing(transforms: Sequence[Any]) -> Preprocessing:
    """Torchvision's transforms as bench writes them down; a normalisation at the end is left to the model.

    Raises:
        ValueError: if they are more than a resize, a crop of the centre, the conversion to a tensor and that, in this
            order.
    """
    resize: int | tuple[int, int] | None = None
    crop, interpolation = None, "bilinear"
    names = [_ALSO_CALLED.get(type(each).__name__, type(each).__name__) for each in transforms]
    if names[-1:] == ["Normalize"]:
        names.pop()
    if names != [name for name in _STEPS if name in names]:
        raise ValueError(f"transforms {', '.join(names)}")
    for each, kind in zip(transforms, names, strict=False):
        if kind == "Resize":
            height, width = (each.size, None) if isinstance(each.size, int) else each.size
            resize, interpolation = (height if width is None else (height, width)), each.interpolation.value
        elif kind == "CenterCrop":
            (crop, _) = each.size if len(set(each.size)) == 1 else (None, None)
            if crop is None:
                raise ValueError(f"a crop to {each.size}")
    return Preprocessing(resize=resize, crop=crop, interpolation=interpolation)


def finished(
    network: nn.Module,
    wanted: Wanted,
    *,
    library: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    class_names: Sequence[str] | None = None,
    remarks: tuple[str, ...] = (),
) -> LoadedModel:
    """Put the normalisation that a library's model was trained with before it, and make it ready.

    Args:
        network: takes normalised images.
        wanted: what was asked for.
        library: the package that builds it, whose version is part of what the model is.
        mean: per channel, in [0, 1]; None for a network that takes images in [0, 1].
        std: likewise.
        class_names: what its logits stand for, where that is known.
        remarks: what a user should know of how it was loaded, a line each.

    Raises:
        BenchError: if mean and std are none.
    """
    try:
        module = network if mean is None or std is None else nn.Sequential(Normalize(mean, std), network)
    except (ValueError, TypeError) as error:
        raise BenchError(f"The configuration of {wanted.name!r} has no usable mean and std: {error}") from None
    freeze(module, wanted.device)
    identity = (library, importlib.metadata.version(library), wanted.name)
    return LoadedModel(
        name=wanted.name,
        module=module,
        digest=digest.state_digest(module.state_dict()),
        factory_digest=core_digest.of_bytes(*(each.encode() for each in identity)),
        num_classes=wanted.num_classes,
        class_names=tuple(class_names) if class_names is not None else None,
        remarks=remarks,
    )
