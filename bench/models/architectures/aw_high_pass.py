"""AW-Net around a ResNet-18 whose router sees by how much each pixel differs from the pixels around it.

OUR CHOICE throughout: the figure of AW-Net (see `awnet`) settles no more of the extractor than its three slabs. Slabs
with GroupNorm on the pixels themselves are slow to tell attacked images from clean ones: a perturbation of 8/255 is
small beside an image, and the norms take away how large it is. An image less the mean of its 3 x 3 neighbourhood keeps
little of itself and most of a perturbation, whose sign changes from pixel to pixel; times 16 it is as large as networks
expect, and the slabs, of the same sizes, need no norms.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures import aw_resnet
from bench.models.architectures.architecture import Architecture
from bench.models.architectures.awnet import FEATURES, AwNet

__all__ = ["ENTRY", "HighPass", "build"]

NEIGHBOURHOOD = 3
SCALE = 16.0


class HighPass(nn.Module):
    """`16 (x - mean of x over 3 x 3 pixels)`, channel by channel; at the border, of the pixels that there are."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        mean = functional.avg_pool2d(inputs, NEIGHBOURHOOD, stride=1, padding=1, count_include_pad=False)
        return SCALE * (inputs - mean)


def build(*, num_classes: int = 10, in_channels: int = 3, width: int = 64) -> AwNet:
    """AW-Net around a ResNet-18 of that width, its router behind a high-pass filter."""
    model = aw_resnet.build(num_classes=num_classes, in_channels=in_channels, width=width)
    model.router.extractor = nn.Sequential(
        HighPass(),
        *_slab(in_channels, FEATURES // 4, 1),
        *_slab(FEATURES // 4, FEATURES // 2, 2),
        *_slab(FEATURES // 2, FEATURES, 2),
    )
    return model


def _slab(in_channels: int, channels: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(in_channels, channels, 3, stride, padding=1), nn.ReLU()


ENTRY = Architecture(
    name="aw-resnet18-high-pass",
    build=build,
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430 (router: OUR CHOICE)",
    translate=aw_resnet.from_static,
)
