"""AW-Net: a router reads the input and rescales the filters of the network that classifies it.

Wei, Zhao, Li: "Adversarial robustness through dynamic weights" (TPAMI 2024, arXiv 2306.03430). The authors' code is not
public; the block (filters times signal, MixBN, shortcut, ReLU), the two heads and the two modes of MixBN are from
their overview figure.

OUR CHOICE, where the figure does not settle it: three 3x3 convolutions with GroupNorm and global average pooling as the
shared extractor (GroupNorm, since clean and adversarial batches pass separately and batch statistics would tell the
type in training alone); signals 2 * sigmoid(A h + b) with A = b = 0 at the start, so that training starts from the
static network; signals for every 3x3 convolution of the stages, none for the stem, the 1x1 shortcuts and the last
layer; MixBN wherever the static network has batch normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.structure import Route

__all__ = ["AwNet", "Backbone", "Router"]

FEATURES = 128
GROUPS = 8


class Backbone(Protocol):
    """A network whose regulated convolutions and MixBN layers follow a route."""

    regulated: tuple[int, ...]

    def __call__(self, inputs: Tensor, route: Route) -> Tensor:
        """Logits `(N, num_classes)` of `inputs` under `route`."""
        ...


class Router(nn.Module):
    """Shared extractor, one signal head per regulated convolution, and a type head.

    Args:
        in_channels: channels of the input.
        regulated: number of filters of each regulated convolution.
    """

    def __init__(self, in_channels: int, regulated: Sequence[int]) -> None:
        super().__init__()
        self.extractor = nn.Sequential(
            *_slab(in_channels, FEATURES // 4, 1),
            *_slab(FEATURES // 4, FEATURES // 2, 2),
            *_slab(FEATURES // 2, FEATURES, 2),
        )
        self.signal_heads = nn.ModuleList(nn.Linear(FEATURES, filters) for filters in regulated)
        for head in self.signal_heads:
            nn.init.zeros_(cast(nn.Linear, head).weight)
            nn.init.zeros_(cast(nn.Linear, head).bias)
        self.type_head = nn.Sequential(nn.Linear(FEATURES, FEATURES // 2), nn.ReLU(), nn.Linear(FEATURES // 2, 2))

    def forward(self, inputs: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the signals, each `(N, filters)`, and the type logits `(N, 2)`: clean, adversarial."""
        hidden = self.extractor(inputs).mean(dim=(2, 3))  # (N, FEATURES)
        signals = tuple(2 * torch.sigmoid(head(hidden)) for head in self.signal_heads)
        return signals, self.type_head(hidden)


class AwNet(nn.Module):
    """A router and the backbone that it regulates: inputs in [0, 1] to logits.

    Args:
        backbone: the dynamic-weight network.
        in_channels: channels of the input.
    """

    def __init__(self, backbone: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.router = Router(in_channels, cast(Backbone, backbone).regulated)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(N, num_classes)` as at test time: soft MixBN by the predicted type."""
        return self.routed(inputs, self.route(inputs))

    def route(self, inputs: Tensor) -> Route:
        """The route of each input, with soft weights `(N, 2)` for MixBN."""
        signals, type_logits = self.router(inputs)
        return Route(signals, functional.softmax(type_logits.float(), dim=1))

    def routed(self, inputs: Tensor, route: Route) -> Tensor:
        """Logits `(N, num_classes)` of `inputs` under a given route."""
        return cast(Backbone, self.backbone)(inputs, route)

    def typed(self, inputs: Tensor, branch: int) -> tuple[Tensor, Tensor]:
        """Logits and type logits `(N, 2)` with MixBN switched to the known type of the batch (training)."""
        signals, type_logits = self.router(inputs)
        return self.routed(inputs, Route(signals, branch)), type_logits


def _slab(in_channels: int, channels: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
    return conv, nn.GroupNorm(GROUPS, channels), nn.ReLU()
