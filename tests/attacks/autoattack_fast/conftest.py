"""Small models to attack: one trained on digits within a second, and linear ones with exact answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import data
from bench.core.types import Examples


class Recorder:
    """A classifier that keeps every batch it was shown."""

    def __init__(self, classifier: Callable[[Tensor], Tensor]) -> None:
        self.classifier = classifier
        self.seen: list[Tensor] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        self.seen.append(inputs.detach().clone())
        return self.classifier(inputs)


class LinearClassifier:
    """Logits `weights x + bias` on 1 x 4 x 4 inputs."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        self.weights, self.bias = weights, bias

    def __call__(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.weights.T + self.bias


@pytest.fixture(scope="session")
def digits() -> Examples:
    """The first 60 test images of digits."""
    return data.load("digits").examples[:60]


@pytest.fixture(scope="session")
def net() -> nn.Module:
    """A small convolutional network, adversarially trained on digits for a few steps."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 16, 10),
        )
    train = data.load("digits", split="train").examples
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        chosen = train[torch.randint(len(train), (128,), generator=generator)]
        moved = _one_step(model, chosen, epsilon=0.1)
        optimizer.zero_grad()
        functional.cross_entropy(model(moved), chosen.labels).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def _one_step(model: nn.Module, chosen: Examples, *, epsilon: float) -> Tensor:
    leaf = chosen.inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(model(leaf), chosen.labels), leaf)
    return (chosen.inputs + epsilon * gradient.sign()).clamp(0, 1)


@pytest.fixture
def record() -> type[Recorder]:
    """The recording classifier."""
    return Recorder


@pytest.fixture(scope="session")
def linear() -> Callable[[int], tuple[LinearClassifier, Examples]]:
    """Build a linear classifier of K classes, and 24 grey inputs with the labels that it gives them."""

    def build(classes: int) -> tuple[LinearClassifier, Examples]:
        generator = torch.Generator().manual_seed(classes)
        weights = torch.randn(classes, 16, generator=generator)
        weights = weights - weights.mean(1, keepdim=True)  # grey inputs lie near all boundaries, far from the box's
        classifier = LinearClassifier(weights, torch.zeros(classes))
        inputs = 0.4 + 0.2 * torch.rand(24, 1, 4, 4, generator=generator)
        labels = classifier(inputs).argmax(1)
        return classifier, Examples(inputs=inputs, labels=labels, indices=torch.arange(24))

    return build
