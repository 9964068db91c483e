from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.core.types import ThreatModel
from bench.training.objectives.ibp import Ibp
from bench.training.objectives.objective import Batch, Context

THREAT_MODEL = ThreatModel.parse("Linf:1/10")


def context(epoch: float) -> Context:
    return Context(epoch=epoch, epochs=10, threat_model=THREAT_MODEL, generator=torch.Generator())


@pytest.fixture
def linear() -> nn.Module:
    """Of which the worst logits are known."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    network[1].weight.data = torch.randn(3, 4, generator=generator)
    return network


@pytest.fixture
def batch() -> Batch:
    """Six images in the middle of the box."""
    inputs = 0.3 + 0.4 * torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    return Batch(inputs, torch.tensor([0, 1, 2, 0, 1, 2]), inputs)


@pytest.mark.parametrize(("epoch", "grown"), [(0.0, 0.0), (1.0, 0.0), (3.0, 0.5), (5.0, 1.0), (9.0, 1.0)])
def test_the_loss_is_that_of_the_paper(linear: nn.Module, batch: Batch, epoch: float, grown: float) -> None:
    """Clean cross-entropy at first, then as much of that of the least own and the largest other logits."""
    loss = Ibp().loss(linear, batch, context(epoch))
    logits = linear(batch.inputs)
    reach = grown * 0.1 * linear[1].weight.abs().sum(1)
    worst = torch.where(functional.one_hot(batch.labels, 3).bool(), logits - reach, logits + reach)
    clean = 1 - grown / 2
    expected = clean * functional.cross_entropy(logits, batch.labels) + (1 - clean) * functional.cross_entropy(
        worst, batch.labels
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_are_kept_where_epsilon_is_whole() -> None:
    """And those of the only epoch of a short run."""
    assert [epoch for epoch in range(10) if Ibp().eligible(epoch, 10)] == [5, 6, 7, 8, 9]
    assert Ibp().eligible(0, 1)


def test_it_counts_what_intervals_prove(linear: nn.Module, batch: Batch) -> None:
    """Examples whose own least logit exceeds the largest of the others."""
    found = Ibp().measure(linear, batch.inputs, batch.labels, context(9))
    reach = 0.1 * linear[1].weight.abs().sum(1)
    logits = linear(batch.inputs)
    worst = torch.where(functional.one_hot(batch.labels, 3).bool(), logits - reach, logits + reach)
    assert found == {"certified": int((worst.argmax(1) == batch.labels).sum())}
