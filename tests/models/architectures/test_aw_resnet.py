"""Tests of AW-Net around a ResNet-18."""

from __future__ import annotations

import torch

from bench.models.architectures import aw_resnet
from bench.models.architectures.resnet import ResNet18


def test_it_starts_as_the_static_network_that_it_is_given():
    """With the weights of a static ResNet-18 and a new router, AW-Net gives the static network's logits."""
    torch.manual_seed(0)
    static = ResNet18(num_classes=7, in_channels=2, width=8)
    static(torch.rand(16, 2, 16, 16))  # moves the running statistics
    model = aw_resnet.build(num_classes=7, in_channels=2, width=8)
    model.load_state_dict(aw_resnet.from_static(static.state_dict(), model))
    inputs = torch.rand(4, 2, 16, 16)
    torch.testing.assert_close(model.eval()(inputs), static.eval()(inputs), rtol=1e-4, atol=1e-4)
