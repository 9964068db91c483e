"""Wide residual networks: three stages of pre-activation blocks, each stage with its own depth and channels.

WRN-d-k: Zagoruyko, Komodakis 2016 (arXiv 1605.07146). RobustWRN: Huang et al. 2021 (arXiv 2110.03825), who set depth
and channels per stage; their WRN-34-R has channels 320, 640, 512, a last stage narrower than the middle one. The
shortcut of a block that changes the shape is a 1x1 convolution of the activated input, as in the code of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures.architecture import Architecture
from bench.models.architectures.preact_resnet import PreActBlock

__all__ = ["ENTRY", "WideResNet", "robust_wrn", "wrn"]

STEM = 16
STRIDES = (1, 2, 2)


class WideResNet(nn.Module):
    """A wide residual network on inputs `(N, in_channels, H, W)`, giving logits `(N, num_classes)`.

    Args:
        num_classes: number of logits.
        in_channels: channels of the input.
        blocks: blocks of each of the three stages.
        channels: channels of each of the three stages.

    Raises:
        ValueError: if there are not three stages, or one is empty.
    """

    def __init__(self, *, num_classes: int, in_channels: int, blocks: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        for name, numbers in (("blocks", blocks), ("channels", channels)):
            if len(numbers) != len(STRIDES) or min(numbers) < 1:
                raise ValueError(f"Expected `{name}` to be three positive numbers, but got {tuple(numbers)}.")
        self.conv1 = nn.Conv2d(in_channels, STEM, 3, 1, padding=1, bias=False)
        layers: list[nn.Module] = []
        width = STEM
        for depth, filters, stride in zip(blocks, channels, STRIDES, strict=True):
            for block in range(depth):
                layers.append(PreActBlock(width, filters, stride if block == 0 else 1))
                width = filters
        self.blocks = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, num_classes)
        self._initialize()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, num_classes)`."""
        hidden = functional.relu(self.bn(self.blocks(self.conv1(inputs))))
        logits: Tensor = self.linear(hidden.mean(dim=(2, 3)))
        return logits

    def _initialize(self) -> None:
        """Convolutions from N(0, 2 / (k * k * filters)), the last bias 0, as in the papers' code."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(self.linear.bias)


def wrn(*, num_classes: int = 10, in_channels: int = 3, depth: int = 34, width: int = 10) -> WideResNet:
    """Build WRN-depth-width: (depth - 4) / 6 blocks and 16, 32, 64 times `width` channels per stage.

    Raises:
        ValueError: if `depth` is not 6n + 4 with n >= 1.
    """
    if (depth - 4) % 6 or depth < 10:
        raise ValueError(f"Expected `depth` to be 6n + 4 with n >= 1, but got {depth}.")
    stages = tuple(STEM * width * 2**stage for stage in range(len(STRIDES)))
    per_stage = ((depth - 4) // 6,) * len(STRIDES)
    return WideResNet(num_classes=num_classes, in_channels=in_channels, blocks=per_stage, channels=stages)


def robust_wrn(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    blocks: Sequence[int] = (5, 5, 5),
    channels: Sequence[int] = (320, 640, 512),
) -> WideResNet:
    """Build a wide residual network with depth and channels set per stage; without arguments, WRN-34-R."""
    return WideResNet(num_classes=num_classes, in_channels=in_channels, blocks=blocks, channels=channels)


ENTRY = (
    Architecture(
        name="wrn",
        build=wrn,
        paper="Zagoruyko, Komodakis 2016, arXiv 1605.07146",
        published_parameters=(
            ({"num_classes": 10, "in_channels": 3, "depth": 34, "width": 10}, 46_160_474),
            ({"num_classes": 10, "in_channels": 3, "depth": 28, "width": 10}, 36_479_194),
        ),
    ),
    Architecture(
        name="robust-wrn",
        build=robust_wrn,
        paper="Huang et al. 2021, arXiv 2110.03825",
        published_parameters=(
            ({"num_classes": 10, "in_channels": 3}, 68_116_698),
            ({"num_classes": 10, "in_channels": 3, "blocks": [5, 5, 5], "channels": [192, 384, 768]}, 66_457_818),
        ),
    ),
)
