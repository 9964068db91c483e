"""How a model has to be asked is found out by asking it, and said."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.models.adapting import Adapted, Needs, adapted, remarks_on

INPUTS = torch.linspace(0, 1, 4 * 16).reshape(4, 1, 4, 4)


def layers() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval().requires_grad_(False)


class Around(nn.Module):
    """A network behind a function of its input."""

    def __init__(self, before, net=None):
        super().__init__()
        self.before, self.net = before, net if net is not None else layers()

    def forward(self, inputs):
        return self.net(self.before(inputs))


class Purified(nn.Module):
    """One step down its own loss before it answers, by `backward()`, as many repositories write it."""

    def __init__(self):
        super().__init__()
        self.net = layers()

    def forward(self, inputs):
        leaf = inputs.detach().clone().requires_grad_()
        logits = self.net(leaf)
        functional.cross_entropy(logits, logits.argmax(1)).backward()
        return self.net(inputs - 0.1 * leaf.grad.sign())


def shifted_in_place(inputs):
    inputs -= 0.25
    return inputs + 0.25


@pytest.mark.parametrize(
    ("model", "needs", "says"),
    [
        (layers().double(), Needs(dtype=torch.float64, answers=torch.float64), "float64"),
        (Around(torch.Tensor.double, layers().double()), Needs(answers=torch.float64), "answers in float64"),
        (Around(torch.Tensor.bfloat16, layers().bfloat16()), Needs(answers=torch.bfloat16), "bfloat16"),
        (Around(shifted_in_place), Needs(copies=True), "in place"),
        (Around(lambda x: x.clamp_(0, 1)), Needs(copies=True), "in place"),  # in place, though no value changes
        (Around(lambda x: torch.from_numpy(x.numpy().__imul__(0.5)) * 2), Needs(copies=True), "in place"),
        (Purified(), Needs(gradients=True), "gradients"),
    ],
    ids=["float64", "casts", "bfloat16", "in place", "clamp", "numpy", "backward"],
)
def test_what_a_model_needs_is_found_and_said(model, needs, says):
    """Asked as it needs, it gives float32 logits, and leaves its input alone."""
    ready = adapted(model, INPUTS)
    assert isinstance(ready, Adapted)
    assert ready.needs == needs
    assert any(says in line for line in remarks_on(ready))
    given = INPUTS.clone()
    with torch.no_grad():
        logits = ready(given)
    assert torch.equal(given, INPUTS)
    assert (logits.dtype, logits.requires_grad) == (torch.float32, False)
    if not isinstance(model, Purified):
        torch.testing.assert_close(logits, layers()(INPUTS), rtol=2e-2, atol=2e-2)
    assert adapted(ready, INPUTS) is ready


@pytest.mark.parametrize(
    "model",
    [
        layers(),
        nn.Flatten(),
        Around(lambda x: x + torch.rand(1)),
        Around(lambda x: x / "no"),
        Around(lambda x: (x,)),
    ],
    ids=["plain", "no parameters", "random", "fails", "tuple"],
)
def test_a_model_that_needs_nothing_or_always_fails_is_itself(model):
    """No wrapper, no remark, and the global random state as before."""
    before = torch.get_rng_state()
    assert adapted(model, INPUTS) is model
    assert remarks_on(model) == ()
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_pass_through():
    """The slope at the input is the model's own, also where the model writes into its input or computes in float64."""
    slopes = []
    for model in (layers(), Around(shifted_in_place), layers().double()):
        leaf = INPUTS.clone().requires_grad_()
        slopes += torch.autograd.grad(adapted(model, INPUTS)(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(slopes[1], slopes[0])
    torch.testing.assert_close(slopes[2], slopes[0])


def test_what_the_model_declares_is_asked_likewise():
    """A structured model's further methods get copies too."""

    class Declaring(Around):
        def raw(self, inputs):
            return torch.cat([self(inputs), self(inputs) - 1], 1)

    given = INPUTS.clone()
    ready = adapted(Declaring(shifted_in_place), given)
    assert ready.raw(given).shape == (4, 6)
    assert torch.equal(given, INPUTS)
