"""Tests of AW-Net's router behind a high-pass filter."""

from __future__ import annotations

import pytest
import torch

from bench.models.architectures import aw_high_pass
from bench.models.architectures.resnet import ResNet18


def test_filter_keeps_what_differs_from_the_neighbours():
    """A flat image gives zero everywhere, a ramp zero inside; a single pixel stands out by 16 times eight ninths."""
    layer = aw_high_pass.HighPass()
    torch.testing.assert_close(layer(torch.full((1, 2, 6, 6), 0.7)), torch.zeros(1, 2, 6, 6), rtol=0, atol=1e-5)
    ramp = torch.linspace(0, 1, 6).expand(1, 1, 6, 6)
    torch.testing.assert_close(layer(ramp)[..., 1:-1], torch.zeros(1, 1, 6, 4), rtol=0, atol=1e-5)
    dot = torch.zeros(1, 1, 6, 6)
    dot[..., 3, 3] = 1
    assert layer(dot)[0, 0, 3, 3].item() == pytest.approx(16 * 8 / 9)
    assert layer(dot)[0, 0, 2, 3].item() == pytest.approx(-16 / 9)


def test_it_starts_as_the_static_network_that_it_is_given():
    """With the weights of a static ResNet-18 and a new router, it gives the static network's logits."""
    torch.manual_seed(0)
    static = ResNet18(num_classes=7, in_channels=2, width=8)
    static(torch.rand(16, 2, 16, 16))  # moves the running statistics
    model = aw_high_pass.build(num_classes=7, in_channels=2, width=8)
    model.load_state_dict(aw_high_pass.ENTRY.translate(static.state_dict(), model))
    inputs = torch.rand(4, 2, 16, 16)
    torch.testing.assert_close(model.eval()(inputs), static.eval()(inputs), rtol=1e-4, atol=1e-4)
