"""DUCAT: a network with one dummy class per class, whose answers are recovered inside the model.

Wang et al. 2024 (arXiv 2410.12671). The backbone has 2C logits: class c and its dummy c + C. The published decision is
the arg max over all of them, less C where it is at least C, which equals the arg max over c of max(z_c, z_{c+C}). The
authors apply it when they count errors; here it is the output of the model, so that what is attacked is what is scored.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.models.architectures import ARCHITECTURES
from bench.models.architectures.architecture import Architecture

__all__ = ["ENTRY", "Ducat", "build", "with_dummies"]


class Ducat(nn.Module):
    """Recover C logits from a backbone with 2C.

    Args:
        backbone: maps inputs to logits `(N, 2C)`: the classes, then their dummies in the same order.
        num_classes: C.
    """

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the recovered logits `(N, C)`: max(z_c, z_{c+C})."""
        raw = self.raw(inputs)
        return torch.maximum(raw[:, : self.num_classes], raw[:, self.num_classes :])

    def raw(self, inputs: Tensor) -> Tensor:
        """Return the logits `(N, 2C)` of classes and dummies, which training and adaptive attacks use."""
        logits: Tensor = self.backbone(inputs)
        return logits


def build(*, num_classes: int = 10, in_channels: int = 3, backbone: str = "resnet18", **arguments: object) -> Ducat:
    """Put the DUCAT head on the architecture called `backbone`, built with `arguments`."""
    network = ARCHITECTURES.get(backbone).build(num_classes=2 * num_classes, in_channels=in_channels, **arguments)
    return Ducat(network, num_classes)


def with_dummies(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The state of a DUCAT network that decides as the plain network with `state` does.

    The backbone is taken over; in its last layer every dummy class starts as a copy of its class (OUR CHOICE).

    Args:
        state: of a network of the backbone's architecture with C logits.
        model: a new DUCAT network.
    """
    start = {}
    for name, value in model.state_dict().items():
        plain = state[name.removeprefix("backbone.")]
        start[name] = plain if plain.shape == value.shape else torch.cat((plain, plain))
    return start


ENTRY = Architecture(name="ducat", build=build, paper="Wang et al. 2024, arXiv 2410.12671", translate=with_dummies)
