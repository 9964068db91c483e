"""ResNet-4B of the VNN-COMP 2021 CIFAR-10 benchmark, as its authors describe it, in the form of a user's own file."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2471, 0.2435, 0.2616)


class Block(nn.Module):
    """Two convolutions around a shortcut, no batch norm."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.shortcut = nn.Sequential() if stride == 1 else nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(inputs))) + self.shortcut(inputs))


class ResNet4B(nn.Module):
    """The stem, two layers of two blocks, two linear layers; normalisation is inside."""

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: the published weights know nothing of them.
        self.register_buffer("mean", torch.tensor(CIFAR10_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CIFAR10_STD).view(3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 16, 3, 2, 1)
        self.layer1 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1))
        self.layer2 = nn.Sequential(Block(32, 32, 2), Block(32, 32, 1))
        self.linear1 = nn.Linear(512, 100)
        self.linear2 = nn.Linear(100, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        stem = torch.relu(self.conv1((inputs - self.mean) / self.std))
        features = self.layer2(self.layer1(stem)).flatten(1)  # (N, 512)
        return self.linear2(torch.relu(self.linear1(features)))


def make() -> nn.Module:
    """The network, without its weights."""
    return ResNet4B()
