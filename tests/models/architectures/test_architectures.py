"""Every architecture, as soon as its file is there."""

from __future__ import annotations

import inspect

import pytest
import torch

from bench.models import ArchitectureSpec
from bench.models.architectures import ARCHITECTURES
from bench.models.building import build_empty

SMALL = {"width": 4, "depth": 10, "blocks": [1, 1, 1], "channels": [8, 16, 12], "mean": [0.5], "std": [0.25]}
SMALL |= {"strides": [1, 2, 2], "grid": 3, "hidden": 16}
IMAGES = torch.linspace(0, 1, 3 * 12 * 12).reshape(3, 1, 12, 12).sin()
MILLIONS = [
    ("resnet18", {}, 11.17),
    ("preact-resnet18", {}, 11.17),
    ("wrn", {"depth": 34, "width": 10}, 46.16),
    ("wrn", {"depth": 28, "width": 10}, 36.48),
    ("robust-wrn", {}, 68.12),
    ("robust-wrn", {"channels": [192, 384, 768]}, 66.46),
]
PUBLISHED = [(entry.name, kwargs, count) for entry in ARCHITECTURES for kwargs, count in entry.published_parameters]


def _count(name: str, kwargs: dict[str, object]) -> int:
    return sum(parameter.numel() for parameter in build_empty(ArchitectureSpec(name=name, kwargs=kwargs)).parameters())


def _small(name: str) -> torch.nn.Module:
    """The architecture with few parameters, 7 classes and one channel."""
    takes = inspect.signature(ARCHITECTURES.get(name).build).parameters
    wraps = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    kwargs = {key: value for key, value in SMALL.items() if key in takes or (wraps and key == "width")}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ARCHITECTURES.get(name).build(num_classes=7, in_channels=1, **kwargs)


@pytest.fixture(params=ARCHITECTURES.names())
def name(request) -> str:
    return request.param


def test_gives_logits(name):
    """Images of another size and channel count than CIFAR's give one finite logit per class."""
    logits = _small(name).eval()(IMAGES)
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()


def test_gradient_reaches_every_image(name):
    """An attacker can follow the gradient of each image's own loss to its pixels."""
    inputs = IMAGES.clone().requires_grad_()
    logits = _small(name).eval()(inputs)
    (gradient,) = torch.autograd.grad(logits[1].logsumexp(0) - logits[1, 0], inputs)
    assert gradient[1].abs().max() > 0
    assert (gradient[[0, 2]] == 0).all()


def test_an_image_is_answered_alone(name):
    """In eval mode the logits of an image do not depend on the others in its batch."""
    module = _small(name).eval()
    with torch.no_grad():
        torch.testing.assert_close(module(IMAGES)[1:2], module(IMAGES[1:2]), rtol=1e-4, atol=1e-5)


def test_state_rebuilds_the_function(name):
    """The state dict holds all that the function depends on."""
    trained, other = _small(name), _small(name)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.01)
    other.load_state_dict(trained.state_dict(), strict=True)
    assert torch.equal(trained.eval()(IMAGES), other.eval()(IMAGES))


@pytest.mark.parametrize(("name", "kwargs", "count"), PUBLISHED)
def test_has_the_published_number_of_parameters(name, kwargs, count):
    """The parameter count is the published one, to the parameter."""
    assert _count(name, kwargs) == count


@pytest.mark.parametrize(("name", "kwargs", "millions"), MILLIONS)
def test_has_as_many_millions_as_the_papers_say(name, kwargs, millions):
    """The parameter count rounds to what the papers print."""
    assert round(_count(name, kwargs) / 1e6, 2) == millions


def test_says_where_it_comes_from(name):
    """Every architecture names its paper."""
    assert ARCHITECTURES.get(name).paper
