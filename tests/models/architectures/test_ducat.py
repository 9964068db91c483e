"""The DUCAT head: the recovered logits decide as the published rule does."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.models.architectures import ARCHITECTURES
from bench.models.architectures.ducat import Ducat, build, with_dummies

LOGITS = st.lists(st.integers(-50, 50), min_size=8, max_size=8, unique=True)


@given(logits=LOGITS)
def test_decides_as_the_papers_rule(logits):
    """The arg max of the recovered logits is the arg max over all, less C where it is a dummy."""
    raw = torch.tensor([logits], dtype=torch.float32)
    best = int(raw.argmax())
    assert int(Ducat(nn.Identity(), 4)(raw).argmax()) == (best if best < 4 else best - 4)


def test_gradient_goes_to_the_larger_of_each_pair():
    """The recovery is inside the graph: an attack on a class's logit reaches the dummy that holds it."""
    raw = torch.tensor([[1.0, 0.0, 3.0, -1.0]], requires_grad=True)
    Ducat(nn.Identity(), 2)(raw)[0, 0].backward()
    assert raw.grad.tolist() == [[0, 0, 1, 0]]


def test_raw_logits_come_in_pairs():
    """The raw logits are the backbone's: twice as many as there are classes."""
    module = build(num_classes=5, in_channels=1, width=2).eval()
    inputs = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    raw = module.raw(inputs)
    assert raw.shape == (2, 10)
    assert torch.equal(module(inputs), torch.stack([raw[:, :5], raw[:, 5:]]).amax(0))


def test_starts_as_the_plain_network_decides():
    """Translated from a plain network, every class and its dummy have the logit that the class had."""
    plain = ARCHITECTURES.get("resnet18").build(num_classes=5, in_channels=1, width=2).eval()
    module = build(num_classes=5, in_channels=1, width=2).eval()
    module.load_state_dict(with_dummies(plain.state_dict(), module))
    inputs = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = plain(inputs)
    assert torch.equal(module.raw(inputs), torch.cat((expected, expected), dim=1))
