"""Small models whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.core.types import Examples

CLASSES = 5
SHAPE = (1, 6, 6)


class Recorder:
    """A classifier that keeps every batch it was shown."""

    def __init__(self, classifier: Callable[[Tensor], Tensor]) -> None:
        self.classifier = classifier
        self.seen: list[Tensor] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        self.seen.append(inputs.detach().clone())
        return self.classifier(inputs)


@pytest.fixture(scope="session")
def linear():
    """A linear classifier: its exact robust accuracy can be computed."""
    torch.manual_seed(0)
    return _centred(nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)))


@pytest.fixture(scope="session")
def network():
    """A small net with a curved decision boundary."""
    torch.manual_seed(1)
    layers = nn.Flatten(), nn.Linear(36, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, CLASSES)
    return _centred(nn.Sequential(*layers))


def _centred(model):
    """Let decision boundaries pass through the middle of the inputs, so that every class occurs."""
    model.requires_grad_(False)
    moved = torch.full((1, 36), 0.5)
    for layer in list(model)[1:]:
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(3)
            layer.bias.copy_(-layer.weight @ moved[0])
            layer.bias.add_(0.3 * torch.randn(layer.bias.shape))
        moved = layer(moved)
    return model.eval()


@pytest.fixture
def examples_of():
    """Examples that a model classifies correctly, with indices that do not start at 0."""

    def make(model, count=64):
        generator = torch.Generator().manual_seed(2)
        inputs = 0.3 + 0.4 * torch.rand((count, *SHAPE), generator=generator)  # no clipping at the radii used
        with torch.no_grad():
            labels = model(inputs).argmax(1)
        return Examples(inputs=inputs, labels=labels, indices=torch.arange(100, 100 + count))

    return make


@pytest.fixture
def record() -> type[Recorder]:
    """The recording classifier."""
    return Recorder
