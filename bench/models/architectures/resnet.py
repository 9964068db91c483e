"""ResNet-18 for small images: 3x3 stem, post-activation basic blocks, four stages.

He et al. 2016 (arXiv 1512.03385) with the stem that the adversarial training literature uses on 32x32 inputs
(no max-pooling, stride 1). `width` is the number of channels of the first stage: 64 in the papers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures.architecture import Architecture

__all__ = ["ENTRY", "BasicBlock", "ResNet18"]

BLOCKS_PER_STAGE = 2
STRIDES = (1, 2, 2, 2)


class BasicBlock(nn.Module):
    """ReLU(bn2(conv2(ReLU(bn1(conv1(x))))) + shortcut(x)); a 1x1 shortcut where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, channels, H/stride, W/stride)`."""
        hidden = functional.relu(self.bn1(self.conv1(inputs)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))


class ResNet18(nn.Module):
    """ResNet-18 on inputs `(N, in_channels, H, W)`, giving logits `(N, num_classes)`.

    Args:
        num_classes: number of logits.
        in_channels: channels of the input.
        width: channels of the first stage; each later stage doubles them.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, 1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage, stride in enumerate(STRIDES):
            for block in range(BLOCKS_PER_STAGE):
                blocks.append(BasicBlock(channels, width * 2**stage, stride if block == 0 else 1))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, num_classes)`."""
        hidden = self.blocks(functional.relu(self.bn1(self.conv1(inputs))))
        logits: Tensor = self.linear(hidden.mean(dim=(2, 3)))
        return logits


ENTRY = Architecture(
    name="resnet18",
    build=ResNet18,
    paper="He et al. 2016, arXiv 1512.03385",
    published_parameters=(({"num_classes": 10, "in_channels": 3, "width": 64}, 11_173_962),),
)
