"""Building from a manifest: arguments are checked before anything is allocated."""

from __future__ import annotations

import pytest
import torch

from bench.models import ArchitectureSpec
from bench.models.building import build_empty


def _build(name: str, **kwargs: object) -> torch.nn.Module:
    return build_empty(ArchitectureSpec(name=name, kwargs=kwargs))


def test_builds_shapes_without_memory_or_random_numbers():
    """The network is on the meta device, and the global random state is untouched."""
    before = torch.get_rng_state()
    module = _build("resnet18", num_classes=7, in_channels=1, width=4)
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}
    assert module.linear.out_features == 7
    assert torch.equal(torch.get_rng_state(), before)


def test_arguments_of_a_wrapped_architecture_pass_through():
    """What the wrapper does not know belongs to the architecture inside."""
    assert _build("ducat", num_classes=10, backbone="wrn", depth=10, width=1).backbone.linear.out_features == 20


@pytest.mark.parametrize(
    ("name", "kwargs", "texts"),
    [
        ("resnet81", {}, ("resnet81", "resnet18")),
        ("resnet18", {"widht": 16}, ("'widht'", "'width'")),
        ("resnet18", {"width": "16"}, ("'width'", "int", "'16'")),
        ("resnet18", {"width": True}, ("'width'",)),
        ("resnet18", {"width": -1}, ("'width'", "-1")),
        ("resnet18", {"width": 1.5}, ("'width'",)),
        ("resnet18", {"width": 10_001}, ("'width'",)),
        ("resnet18", {"width": 9_000}, ("1,000,000,000 parameters",)),
        ("wrn", {"depth": 35}, ("'wrn'", "depth")),
        ("robust-wrn", {"channels": 320}, ("'channels'",)),
        ("robust-wrn", {"channels": [1, "2", 3]}, ("'channels'",)),
        ("robust-wrn", {"channels": [1, 2]}, ("channels",)),
        ("ducat", {"backbone": "ducat"}, ("itself",)),
        ("ducat", {"backbone": "wrn", "widht": 1}, ("'widht'",)),
        ("ducat", {"backbone": ["wrn"]}, ("'backbone'",)),
        ("normalized", {"mean": [0.5], "in_channels": 3}, ("mean",)),
    ],
)
def test_wrong_arguments_are_named(refused, name, kwargs, texts):
    """An argument that is unknown, of the wrong type, or too large is refused by name in one line."""
    refused(lambda: _build(name, **kwargs), *texts)
