"""Small models with structure, whose answers can be worked out on paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.core.structure import Route
from bench.core.types import Examples, ThreatModel

SHAPE = (1, 6, 6)
CLASSES = 4


class Pairs(nn.Module):
    """A small net with a dummy behind each class."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs):
        raw = self.raw(inputs)
        return torch.maximum(*raw.chunk(2, dim=1))

    def raw(self, inputs):
        return self.backbone(inputs)


class Decoy(Pairs):
    """Two classes, driven by one number u, the mean change in units of 1/20.

    Class 0 falls and its dummy rises with u, so that raising the cross-entropy of class 0 means raising u, for ever;
    class 1 wins only at the other end, where u is -1.
    """

    def __init__(self):
        super().__init__(None)

    def raw(self, inputs):
        u = 20 * (inputs.flatten(1) - 0.5).mean(dim=1)
        other = -3 * u + 15 * torch.relu(-u - 0.2)
        return torch.stack((3 - 4 * u, other, 1 + 4 * u, torch.full_like(u, -9)), dim=1)


class Routed(nn.Module):
    """A linear router over two small nets, mixed by the predicted type; a signal scales each logit."""

    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList(_small(CLASSES) for _ in range(2))
        self.router = nn.Sequential(nn.Flatten(), nn.Linear(36, 2 + CLASSES))

    def forward(self, inputs):
        return self.routed(inputs, self.route(inputs))

    def route(self, inputs):
        read = self.router(inputs)
        return Route((2 * torch.sigmoid(read[:, 2:]),), torch.softmax(read[:, :2], dim=1))

    def routed(self, inputs, route):
        logits = torch.stack([branch(inputs) for branch in self.branches], dim=1)  # (N, 2, C)
        return (logits * route.mix[:, :, None]).sum(dim=1) * route.signals[0]


class HardGate(Routed):
    """A gate without a gradient, that opens a branch without a gradient wherever the input is not a multiple of 1/8.

    The two branches hold the same net; the second one reads its input rounded to multiples of 1/1024.
    """

    def route(self, inputs):
        moved = ((inputs * 8).round() != inputs * 8).flatten(1).any(dim=1)
        return Route((torch.ones(len(inputs), CLASSES),), torch.stack((~moved, moved), dim=1).float())

    def routed(self, inputs, route):
        plain = self.branches[0]
        rounded = (inputs * 1024).round() / 1024
        logits = torch.stack((plain(inputs), plain(rounded)), dim=1)
        return (logits * route.mix[:, :, None]).sum(dim=1) * route.signals[0]


def _small(outputs):
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 24), nn.ReLU(), nn.Linear(24, outputs))
    with torch.no_grad():
        net[1].weight.mul_(3)
        net[1].bias.copy_(-net[1].weight.sum(1) / 2 + 0.1 * torch.randn(24))
    return net


def _seeded(make):
    torch.manual_seed(3)
    return make().requires_grad_(False).eval()


@pytest.fixture(scope="session")
def pairs():
    """Dummy classes on a small net."""
    return _seeded(lambda: Pairs(_small(2 * CLASSES)))


@pytest.fixture(scope="session")
def decoy():
    """Dummy classes that swallow a naive attack."""
    return Decoy().eval()


@pytest.fixture(scope="session")
def routed():
    """A router over two small nets."""
    return _seeded(Routed)


@pytest.fixture(scope="session")
def gated():
    """A router that hides the gradient of what it routes to."""
    return _seeded(HardGate)


@pytest.fixture
def threat_model():
    return ThreatModel.parse("Linf:1/20")


@pytest.fixture
def examples_of():
    """Examples that a model classifies correctly, on a grid of eighths, with indices that do not start at 0."""

    def make(model, count=24):
        generator = torch.Generator().manual_seed(2)
        inputs = torch.randint(3, 6, (count, *SHAPE), generator=generator) / 8
        with torch.no_grad():
            labels = model(inputs).argmax(1)
        return Examples(inputs=inputs, labels=labels, indices=torch.arange(100, 100 + count))

    return make
