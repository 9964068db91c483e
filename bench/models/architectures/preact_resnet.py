"""PreActResNet-18 for small images: 3x3 stem, pre-activation basic blocks, four stages.

He et al. 2016, "Identity mappings in deep residual networks" (arXiv 1603.05027), with the stem and the end that the
adversarial training literature uses on 32x32 inputs: no max-pooling, and batch normalisation and ReLU before the
pooling. `width` is the number of channels of the first stage: 64 in the papers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures.architecture import Architecture
from bench.models.architectures.resnet import BLOCKS_PER_STAGE, STRIDES

__all__ = ["ENTRY", "PreActBlock", "PreActResNet18"]


class PreActBlock(nn.Module):
    """conv2(ReLU(bn2(conv1(a)))) + shortcut(a), a = ReLU(bn1(x)); the shortcut is x itself where the shape stays."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, channels, H/stride, W/stride)`."""
        active = functional.relu(self.bn1(inputs))
        hidden: Tensor = self.conv2(functional.relu(self.bn2(self.conv1(active))))
        return hidden + (inputs if self.shortcut is None else self.shortcut(active))


class PreActResNet18(nn.Module):
    """PreActResNet-18 on inputs `(N, in_channels, H, W)`, giving logits `(N, num_classes)`.

    Args:
        num_classes: number of logits.
        in_channels: channels of the input.
        width: channels of the first stage; each later stage doubles them.
    """

    def __init__(self, *, num_classes: int = 10, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, 1, padding=1, bias=False)
        blocks: list[nn.Module] = []
        channels = width
        for stage, stride in enumerate(STRIDES):
            for block in range(BLOCKS_PER_STAGE):
                blocks.append(PreActBlock(channels, width * 2**stage, stride if block == 0 else 1))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, num_classes)`."""
        hidden = functional.relu(self.bn(self.blocks(self.conv1(inputs))))
        logits: Tensor = self.linear(hidden.mean(dim=(2, 3)))
        return logits


ENTRY = Architecture(
    name="preact-resnet18",
    build=PreActResNet18,
    paper="He et al. 2016, arXiv 1603.05027",
    published_parameters=(({"num_classes": 10, "in_channels": 3, "width": 64}, 11_172_170),),
)
