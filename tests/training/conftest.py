from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bench.core.types import ThreatModel
from bench.models.architectures import ARCHITECTURES
from bench.training.objectives.objective import Batch, Context

CLASSES = 4
SHAPE = (1, 8, 8)


@pytest.fixture
def make_context() -> Callable[..., Context]:
    """A context as the loop makes it, with what a test sets."""

    def make(*, epoch: float = 0.0, epochs: int = 10, threat_model: str = "Linf:1/10", **others) -> Context:
        return Context(
            epoch=epoch,
            epochs=epochs,
            threat_model=ThreatModel.parse(threat_model),
            generator=torch.Generator().manual_seed(1),
            **others,
        )

    return make


@pytest.fixture
def batch() -> Batch:
    """Six images with labels, and other images in the place of what an objective crafts."""
    draw = torch.Generator().manual_seed(2)
    inputs = torch.rand((6, *SHAPE), generator=draw)
    moved = (inputs + 0.2 * torch.rand(inputs.shape, generator=draw) - 0.1).clamp(0, 1)
    return Batch(inputs, torch.arange(6) % CLASSES, moved)


@pytest.fixture
def make_model() -> Callable[..., nn.Module]:
    """A small network of a named architecture, in training mode, the same at every call."""

    def make(architecture: str = "preact-resnet18", **arguments) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            arguments = {"num_classes": CLASSES, "in_channels": SHAPE[0], "width": 4, **arguments}
            return ARCHITECTURES.get(architecture).build(**arguments).train()

    return make


@pytest.fixture
def linear() -> nn.Sequential:
    """A linear classifier: its logits can be computed by hand."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn((CLASSES, 64), generator=draw) / 4)
        model[1].bias.copy_(torch.randn(CLASSES, generator=draw))
    return model
