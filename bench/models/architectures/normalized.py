"""A network behind a normalisation of its inputs: what papers that train on normalised images use."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bench.models.architectures import ARCHITECTURES
from bench.models.architectures.architecture import Architecture
from bench.models.normalize import Normalize

__all__ = ["ENTRY", "build"]

# Per channel over the 50,000 training images of CIFAR-10, as in Rice et al. 2020 and Wu et al. 2020.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2471, 0.2435, 0.2616)


def build(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    backbone: str = "preact-resnet18",
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
    **arguments: object,
) -> nn.Sequential:
    """Put the normalisation before the architecture called `backbone`, built with `arguments`.

    Raises:
        ValueError: if `mean` and `std` do not have one number per channel.
    """
    if len(mean) != in_channels:
        raise ValueError(f"Expected `mean` to have {in_channels} numbers, one per channel, but got {tuple(mean)}.")
    network = ARCHITECTURES.get(backbone).build(num_classes=num_classes, in_channels=in_channels, **arguments)
    return nn.Sequential(Normalize(mean, std), network)


ENTRY = Architecture(name="normalized", build=build, paper="Rice et al. 2020, arXiv 2002.11569 (normalisation inside)")
