"""A tiny model with a known answer, tiny examples, and attacks that misbehave on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.attacks.attack import UNRECORDED, Ensemble, SingleAttack
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.types import Classifier, Examples, ThreatModel
from bench.suites import AttackSuite


def make_examples(count: int = 200, size: int = 4, seed: int = 0) -> Examples:
    """Uniform images `(N, 1, size, size)` with two classes."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(count, 1, size, size, generator=generator) * 0.6 + 0.2
    return Examples(inputs=inputs, labels=torch.arange(count) % 2, indices=torch.arange(count))


class Linear(nn.Module):
    """Two classes; the margin of class 1 is `w . x + b`, so the exact robust accuracy is computable."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(size * size, generator=generator))
        self.bias = nn.Parameter(-0.5 * self.weight.detach().sum())

    def forward(self, inputs: Tensor) -> Tensor:
        score = inputs.flatten(1) @ self.weight + self.bias
        return torch.stack([-score / 2, score / 2], dim=1)


@dataclass(frozen=True, kw_only=True)
class Scripted(SingleAttack):
    """An attack that does what a test says; the function is not recorded."""

    name: str = "scripted"
    act: Callable[..., Tensor] = field(metadata=UNRECORDED, compare=False)
    per_chunk: bool = False
    needs_gradients: bool = False

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        return self.act(classifier, examples, threat_model)


@dataclass(frozen=True, kw_only=True)
class Staged(Ensemble):
    """Several stages under one name."""

    name: str = "staged"

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        raise AssertionError("the harness runs the stages")


def suite_of(*attacks: Any) -> AttackSuite:
    """A suite that no registry knows."""
    return AttackSuite(name="test", version=1, attacks=attacks)


@pytest.fixture
def linear() -> Linear:
    return Linear().eval()


@pytest.fixture
def examples(linear: Linear) -> Examples:
    """200 examples, three quarters labelled as the linear model classifies them."""
    plain = make_examples()
    with torch.no_grad():
        predicted = linear(plain.inputs).argmax(1)
    labels = torch.where(plain.indices % 4 == 3, 1 - predicted, predicted)
    return Examples(inputs=plain.inputs, labels=labels, indices=plain.indices)


@pytest.fixture
def gradient_suite() -> AttackSuite:
    return suite_of(FGSM(), PGD(steps=5))


@pytest.fixture
def threat_model() -> ThreatModel:
    return ThreatModel.parse("Linf:0.05")


@pytest.fixture
def make() -> Iterator[dict[str, Any]]:
    """What tests build with: `importlib` import mode gives test files no way to import each other."""
    yield {"Scripted": Scripted, "Staged": Staged, "suite": suite_of, "examples": make_examples, "Linear": Linear}
