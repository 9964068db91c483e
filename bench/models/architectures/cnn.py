"""A plain convolutional network without batch norm: what certified training uses, since its bounds stay close.

Convolutions of 3x3 and ReLU, averaged onto a fixed grid, then two linear layers. The networks of Gowal et al. 2018
(arXiv 1810.12715, table 1) are of this kind, with kernels of 4x4 where they have a stride, and no averaging.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.models.architectures.architecture import Architecture

__all__ = ["ENTRY", "Cnn"]


class Cnn(nn.Module):
    """Map inputs `(N, in_channels, H, W)` to logits `(N, num_classes)`.

    Args:
        num_classes: number of logits.
        in_channels: channels of the input.
        channels: of each convolution.
        strides: of each convolution.
        grid: height and width of what the linear layers see.
        hidden: units of the hidden linear layer.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: Sequence[int] = (32, 32, 64, 64),
        strides: Sequence[int] = (1, 2, 1, 2),
        grid: int = 8,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for width, stride in zip(channels, strides, strict=True):
            layers += [nn.Conv2d(before, width, 3, stride, padding=1), nn.ReLU()]
            before = width
        layers += [nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.Linear(before * grid * grid, hidden), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, num_classes)`."""
        logits: Tensor = self.layers(inputs)
        return logits


ENTRY = Architecture(name="cnn", build=Cnn, paper="Gowal et al. 2018, arXiv 1810.12715")
