"""Folded batch norms: the same function, following the weights of the network that they came from."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.acceleration.batch_norm import Folded
from bench.models.architectures import ARCHITECTURES

ROUNDING = 1e-4


def inputs(*, size: int = 32) -> torch.Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))


def lived_in(module: nn.Module) -> nn.Module:
    """A network whose statistics, scales and shifts are none of the defaults."""
    generator = torch.Generator().manual_seed(2)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor, low in (
                (layer.weight, 0.5),
                (layer.bias, -0.5),
                (layer.running_mean, -1),
                (layer.running_var, 0.2),
            ):
                tensor.data = low + torch.rand(tensor.shape, generator=generator)
    return module.eval()


class Small(nn.Module):
    """One foldable pair with a bias, and one batch norm that no convolution precedes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.convolution = nn.Conv2d(3, 5, 3, bias=True)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.convolution(self.first(images)))).mean(dim=(2, 3))


class Shared(nn.Module):
    """A convolution whose output is also used without its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.convolution(images)
        return (self.norm(hidden) + hidden).mean(dim=(2, 3))


class Choosing(nn.Module):
    """A network that looks at its input before it decides."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.mean() > 0 else -images


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_every_architecture_keeps_its_function(name):
    """Whatever can be folded gives the logits of the network, up to rounding."""
    arguments = {"backbone": "preact-resnet18"} if name == "normalized" else {}
    arguments |= {"width": 4} if "resnet18" in name or name in ("ducat", "normalized") else {}
    arguments |= {"depth": 10, "width": 1} if name in ("wrn", "aw-wrn") else {}
    arguments |= {"blocks": [1, 1, 1], "channels": [4, 8, 6]} if name == "robust-wrn" else {}
    module = lived_in(ARCHITECTURES.get(name).build(num_classes=10, in_channels=3, **arguments))
    form = Folded.of(module)
    if name.startswith("aw-") or name == "cnn":
        assert form is None  # its batch norms are chosen per input; it has none
        return
    with torch.no_grad():
        expected, got = module(inputs()), form.refreshed()(inputs())
    assert (expected - got).abs().max() <= ROUNDING * expected.abs().max()


def test_folds_a_bias_and_leaves_a_lonely_batch_norm():
    """The convolution's own bias is scaled too, and a batch norm in front stays."""
    module = lived_in(Small())
    folded = Folded.of(module).refreshed()
    norms = [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms == [module.first]
    assert torch.allclose(folded(inputs()), module(inputs()), atol=1e-5)


def test_follows_the_network():
    """After the network's weights and statistics changed, the refreshed form computes the new function."""
    module = lived_in(Small())
    form = Folded.of(module)
    before = form.refreshed()(inputs())
    with torch.no_grad():
        for tensor in (
            *module.parameters(),
            module.norm.running_var,
            module.norm.running_mean,
            module.first.running_mean,
        ):
            tensor.mul_(1.5)
    assert not torch.allclose(module(inputs()), before, atol=1e-2)
    assert torch.allclose(form.refreshed()(inputs()), module(inputs()), atol=1e-5)


def test_leaves_the_network_as_it_was():
    """Folding changes neither the weights nor the mode of the network, nor what its parameters require."""
    module = lived_in(Small()).train()
    before = copy.deepcopy(module.state_dict())
    Folded.of(module).refreshed()
    assert module.training and module.norm.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("module", [Shared(), Choosing(), nn.Linear(3, 2)], ids=["shared", "choosing", "linear"])
def test_refuses_what_folding_would_change(module):
    """A convolution that is used twice, a network that branches on its input, and one without pairs are not folded."""
    assert Folded.of(module) is None
