"""AW-Net around a ResNet-18: every 3x3 convolution of the stages regulated, MixBN everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from bench.core.structure import Route
from bench.models.architectures.architecture import Architecture
from bench.models.architectures.awnet import AwNet
from bench.models.architectures.mixbn import MixBN
from bench.models.architectures.resnet import BLOCKS_PER_STAGE, STRIDES

__all__ = ["ENTRY", "DynamicResNet18", "build", "from_static"]


class _Block(nn.Module):
    """A basic block whose two convolutions are followed by their signals and MixBN."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = MixBN(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.bn2 = MixBN(channels)
        self.shortcut_conv: nn.Conv2d | None = None
        self.shortcut_bn: MixBN | None = None
        if stride != 1 or in_channels != channels:
            self.shortcut_conv = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut_bn = MixBN(channels)

    def forward(self, inputs: Tensor, first: Tensor, second: Tensor, mix: Tensor | int) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, channels, H', W')`; `first`, `second`: signals `(N, channels)`."""
        # Scaling filter i by w_i is scaling output channel i by w_i: the convolutions have no bias.
        hidden = functional.relu(self.bn1(self.conv1(inputs), mix, first))
        hidden = self.bn2(self.conv2(hidden), mix, second)
        shortcut = inputs
        if self.shortcut_conv is not None and self.shortcut_bn is not None:
            shortcut = self.shortcut_bn(self.shortcut_conv(inputs), mix)
        return functional.relu(hidden + shortcut)


class DynamicResNet18(nn.Module):
    """The ResNet-18 of an AW-Net: like `ResNet18`, with its filters and MixBN following a route."""

    def __init__(self, *, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, 1, padding=1, bias=False)
        self.bn1 = MixBN(width)
        self.blocks = nn.ModuleList()
        channels = width
        for stage, stride in enumerate(STRIDES):
            for block in range(BLOCKS_PER_STAGE):
                self.blocks.append(_Block(channels, width * 2**stage, stride if block == 0 else 1))
                channels = width * 2**stage
        self.linear = nn.Linear(channels, num_classes)
        per_stage = (width * 2**stage for stage in range(len(STRIDES)))
        self.regulated = tuple(filters for filters in per_stage for _ in range(2 * BLOCKS_PER_STAGE))

    def forward(self, inputs: Tensor, route: Route) -> Tensor:
        """Logits `(N, num_classes)` of inputs `(N, in_channels, H, W)` under `route`."""
        hidden = functional.relu(self.bn1(self.conv1(inputs), route.mix))
        for number, block in enumerate(self.blocks):
            first, second = route.signals[2 * number : 2 * number + 2]
            hidden = block(hidden, first, second, route.mix)
        logits: Tensor = self.linear(hidden.mean(dim=(2, 3)))
        return logits


def build(*, num_classes: int = 10, in_channels: int = 3, width: int = 64) -> AwNet:
    """AW-Net around a ResNet-18 of that width."""
    return AwNet(DynamicResNet18(num_classes=num_classes, in_channels=in_channels, width=width), in_channels)


def from_static(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The state of an AW-Net that computes what a static ResNet-18 of its width computes.

    Convolutions and the last layer are taken over, every batch normalisation into both branches; the router of
    `model`, whose signals are 1 at the start, is kept.

    Args:
        state: of the static network.
        model: a new AW-Net of that width.
    """
    return {name: state.get(_static_name(name), value) for name, value in model.state_dict().items()}


def _static_name(name: str) -> str:
    """What a ResNet-18 calls the parameter that an AW-Net calls `name`."""
    plain = re.sub(r"\.branches\.[01]", "", name.removeprefix("backbone."))
    return plain.replace("shortcut_conv", "shortcut.0").replace("shortcut_bn", "shortcut.1")


ENTRY = Architecture(
    name="aw-resnet18",
    build=build,
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430 (router: OUR CHOICE)",
    translate=from_static,
)
