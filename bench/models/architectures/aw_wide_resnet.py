"""AW-Net around a wide ResNet: pre-activation order kept, every BatchNorm a MixBN (OUR CHOICE, see `awnet`)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bench.core.structure import Route
from bench.models.architectures.architecture import Architecture
from bench.models.architectures.awnet import AwNet
from bench.models.architectures.mixbn import MixBN

__all__ = ["ENTRY", "DynamicWideResNet", "build"]

STEM = 16
STRIDES = (1, 2, 2)


class _Block(nn.Module):
    """MixBN, ReLU, 3x3 convolution times its signal, twice; a 1x1 shortcut where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = MixBN(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = MixBN(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, inputs: Tensor, first: Tensor, second: Tensor, mix: Tensor | int) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, channels, H', W')`; `first`, `second`: signals `(N, channels)`."""
        active = functional.relu(self.bn1(inputs, mix))
        hidden = functional.relu(self.bn2(self.conv1(active), mix, first))
        hidden = self.conv2(hidden) * second[:, :, None, None]
        residual: Tensor = hidden + (inputs if self.shortcut is None else self.shortcut(active))
        return residual


class DynamicWideResNet(nn.Module):
    """A WRN-depth-width whose filters and MixBN follow a route."""

    def __init__(self, *, num_classes: int, in_channels: int, depth: int, width: int) -> None:
        super().__init__()
        if (depth - 4) % 6 or depth < 10:
            raise ValueError(f"Expected `depth` to be 6n + 4 with n >= 1, but got {depth}.")
        per_stage = (depth - 4) // 6
        self.conv1 = nn.Conv2d(in_channels, STEM, 3, 1, padding=1, bias=False)
        self.blocks = nn.ModuleList()
        channels = STEM
        for stage, stride in enumerate(STRIDES):
            for block in range(per_stage):
                self.blocks.append(_Block(channels, STEM * width * 2**stage, stride if block == 0 else 1))
                channels = STEM * width * 2**stage
        self.bn = MixBN(channels)
        self.linear = nn.Linear(channels, num_classes)
        stages = (STEM * width * 2**stage for stage in range(len(STRIDES)))
        self.regulated = tuple(filters for filters in stages for _ in range(2 * per_stage))

    def forward(self, inputs: Tensor, route: Route) -> Tensor:
        """Logits `(N, num_classes)` of inputs `(N, in_channels, H, W)` under `route`."""
        hidden = self.conv1(inputs)
        for number, block in enumerate(self.blocks):
            first, second = route.signals[2 * number : 2 * number + 2]
            hidden = block(hidden, first, second, route.mix)
        logits: Tensor = self.linear(functional.relu(self.bn(hidden, route.mix)).mean(dim=(2, 3)))
        return logits


def build(*, num_classes: int = 10, in_channels: int = 3, depth: int = 34, width: int = 10) -> AwNet:
    """AW-Net around a WRN-depth-width."""
    backbone = DynamicWideResNet(num_classes=num_classes, in_channels=in_channels, depth=depth, width=width)
    return AwNet(backbone, in_channels)


ENTRY = Architecture(name="aw-wrn", build=build, paper="Wei, Zhao, Li 2024, arXiv 2306.03430 (router: OUR CHOICE)")
