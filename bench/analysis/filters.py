"""The filters of a network: what each convolution's filters weigh, layer by layer from the input to the output."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.models import LoadedModel

__all__ = ["STATISTICS", "check_twins", "layers", "statistics"]

STATISTICS: Mapping[str, str] = MappingProxyType(
    {
        "norm": "L2 norm",
        "mean_abs": "mean absolute weight",
        "std": "standard deviation of the weights",
        "shape": "standard deviation over mean absolute weight",
    }
)
"""What is measured of each filter; `shape` does not change when a filter is scaled."""


def layers(module: nn.Module) -> dict[str, Tensor]:
    """The weights of all convolutions of images, float64 `(filters, inputs * k * k)`, in the order of the modules."""
    return {
        name: part.weight.detach().double().cpu().flatten(1)
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d)
    }


def statistics(weights: Tensor) -> dict[str, Tensor]:
    """Each of `STATISTICS` for filters `(F, D)`: `(F,)`."""
    mean_abs, spread = weights.abs().mean(dim=1), weights.std(dim=1, correction=0)
    return {
        "norm": weights.norm(dim=1),
        "mean_abs": mean_abs,
        "std": spread,
        "shape": spread / mean_abs.clamp_min(torch.finfo(weights.dtype).tiny),
    }


def check_twins(first: LoadedModel, second: LoadedModel) -> None:
    """Refuse two models whose convolutions are not of the same names and shapes.

    Raises:
        BenchError: naming the first difference.
    """
    one, other = (
        {name: tuple(weights.shape) for name, weights in layers(model.module).items()} for model in (first, second)
    )
    if not one:
        raise BenchError(f"Model {first.name!r} has no convolutions, so it has no filters to compare.")
    if one == other:
        return
    name = next(name for name in (*one, *other) if one.get(name) != other.get(name))
    raise BenchError(
        f"Expected twins of one architecture, but {first.name!r} and {second.name!r} differ: convolution {name!r} is"
        f" {_shown(one.get(name))} in one and {_shown(other.get(name))} in the other."
    )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"{shape[0]} filters of {shape[1]} weights"
