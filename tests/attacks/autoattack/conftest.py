"""Linear classifiers with exact answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.core.types import Examples


class LinearClassifier:
    """Logits `weights x + bias` on 1 x 4 x 4 inputs."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        self.weights, self.bias = weights, bias

    def __call__(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.weights.T + self.bias


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
