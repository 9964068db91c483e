"""Models whose Lipschitz constant and smallest perturbations are known, and what an analysis is asked about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench import data
from bench.analysis import AnalysisSubject, SuiteVerdicts
from bench.core.types import Examples, ThreatModel
from bench.models import LoadedModel
from bench.row.arrays.adversarials import Breaks

SHAPE = (1, 8, 8)
SIZE = 64


class Linear(nn.Module):
    """`logits = inputs @ weight.T`, on inputs around 1/2, so that no pixel is ever clipped."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - 0.5).flatten(1) @ self.weight.T


def _loaded(name: str, module: nn.Module) -> LoadedModel:
    module = module.eval().requires_grad_(False)
    return LoadedModel(name=name, module=module, digest=name, factory_digest="", num_classes=3)


@pytest.fixture
def loaded() -> Callable[[str, nn.Module], LoadedModel]:
    """Give a model a name, and a digest of its own."""
    return _loaded


@pytest.fixture
def linear_of() -> type[Linear]:
    """The linear model with a weight `(3, 64)`."""
    return Linear


@pytest.fixture
def linear() -> Linear:
    """Three classes."""
    generator = torch.Generator().manual_seed(0)
    return Linear(torch.randn(3, SIZE, generator=generator))


@pytest.fixture
def examples(linear: Linear) -> Examples:
    """Sixteen inputs near 1/2; all but the first two are labelled as the linear model says."""
    generator = torch.Generator().manual_seed(1)
    inputs = 0.5 + 0.02 * torch.randn(16, *SHAPE, generator=generator)
    labels = linear(inputs).argmax(dim=1)
    labels[:2] = (labels[:2] + 1) % 3
    return Examples(inputs=inputs, labels=labels, indices=torch.arange(16))


@pytest.fixture
def subject_of(examples: Examples) -> Callable[..., AnalysisSubject]:
    """Make a subject of models by name; the rest can be overridden."""

    def make(models: dict[str, nn.Module], **others: object) -> AnalysisSubject:
        dataset = data.load("digits")
        fields = {
            "models": tuple(_loaded(name, module) for name, module in models.items()),
            "dataset": dataset,
            "examples": examples,
            "training": lambda: None,
            "threat_model": ThreatModel.parse("Linf:1/100"),
            "seed": 0,
            "device": torch.device("cpu"),
            "verdicts": no_verdicts,
            "suite": "quick-v1",
            **others,
        }
        return AnalysisSubject(**fields)

    return make


def no_verdicts(model: LoadedModel) -> SuiteVerdicts:
    raise AssertionError(f"nobody asked about {model.name}")


@pytest.fixture
def exact_radius(linear: Linear, examples: Examples) -> Tensor:
    """The smallest L-infinity perturbations that change the answers of the linear model, `(16,)`."""
    return _exact_radius(linear, examples)


@pytest.fixture
def perfect_suite(exact_radius: Tensor) -> Callable[..., SuiteVerdicts]:
    """What a perfect suite says of the linear model at a radius, without a stored break."""

    def make(epsilon: float, passes: float = 1e9) -> SuiteVerdicts:
        return SuiteVerdicts(
            suite="perfect",
            stored=True,
            clean=tuple((exact_radius > 0).tolist()),
            robust=tuple((exact_radius > epsilon).tolist()),
            breaks=Breaks.none(SHAPE),
            passes=passes,
        )

    return make


def _exact_radius(model: Linear, examples: Examples) -> Tensor:
    """Margin over the L1 norm of the difference of rows."""
    logits = model(examples.inputs)
    own = logits.gather(1, examples.labels[:, None])
    gaps = model.weight[examples.labels][:, None] - model.weight[None]  # (N, K, D)
    radius = (own - logits) / gaps.abs().sum(dim=2).clamp_min(1e-12)
    radius.scatter_(1, examples.labels[:, None], float("inf"))
    return radius.amin(dim=1).clamp_min(0)
