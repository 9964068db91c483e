"""Tests of what models declare about themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.core.structure import Route, structures_of
from bench.models.architectures import ARCHITECTURES

DECLARED = {"ducat": ("raw-pairs",), "aw-resnet18": ("routes",), "aw-wrn": ("routes",)}
SMALL = {"wrn": {"depth": 10, "width": 1}, "aw-wrn": {"depth": 10, "width": 1}, "robust-wrn": {}}


@pytest.mark.parametrize("name", ["ducat", "aw-resnet18", "aw-wrn", "resnet18", "preact-resnet18"])
def test_architectures_declare_their_structure(name):
    """DUCAT declares its pairs, AW-Net its routes, a plain network nothing."""
    arguments = SMALL.get(name, {"width": 2})
    module = ARCHITECTURES.get(name).build(num_classes=3, in_channels=1, **arguments)
    assert structures_of(module) == DECLARED.get(name, ())


def test_a_router_without_a_way_to_route_declares_nothing():
    """A declaration is all of its methods: an attribute of that name alone, or half of them, is none."""
    module = nn.Flatten()
    module.raw = torch.zeros(2)
    module.route = lambda inputs: Route((), 0)
    assert structures_of(module) == ()


@pytest.mark.parametrize("name", ["aw-resnet18", "aw-wrn"])
def test_a_routers_own_route_gives_its_answer(name):
    """`routed(x, route(x))` is the forward pass, and another route gives another answer."""
    torch.manual_seed(0)
    module = ARCHITECTURES.get(name).build(num_classes=3, in_channels=1, **SMALL.get(name, {"width": 2})).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
    inputs = torch.rand(4, 1, 8, 8)
    route = module.route(inputs)
    assert torch.equal(module.routed(inputs, route), module(inputs))
    clean = Route(route.signals, torch.tensor([[1.0, 0.0]]).expand(4, 2))
    assert not torch.allclose(module.routed(inputs, clean), module(inputs))
