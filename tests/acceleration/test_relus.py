from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from bench.acceleration.forms import inference_form, low_form
from bench.acceleration.relus import is_relu, quick_relu, quick_relu_, relu_slope, use_quick_relus

EVERY = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
"""All bfloat16 numbers, infinities, NaN and both zeros included."""
NUMBERS = EVERY[~EVERY.isnan()]


def images(dtype: torch.dtype) -> torch.Tensor:
    made = torch.randn(3, 8, 5, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    return made.to(memory_format=torch.channels_last)


def test_every_number_is_what_torch_makes_of_it() -> None:
    """To the value, in place and not; of NaN at most the sign decides."""
    assert torch.equal(quick_relu(NUMBERS), NUMBERS.relu())
    assert torch.equal(quick_relu_(NUMBERS.clone()), NUMBERS.relu())
    nans = quick_relu(EVERY[EVERY.isnan()])
    assert (nans.isnan() | (nans == 0)).all() and nans.isnan().any()


def test_the_slope_of_every_number_is_what_torch_makes_of_it() -> None:
    """A gradient passes where the output is above zero, to the bit but for the sign of zero."""
    gradient = torch.randn(len(NUMBERS), generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    result = NUMBERS.relu()
    assert torch.equal(relu_slope(gradient, result), torch.ops.aten.threshold_backward(gradient, result, 0))
    leaf = NUMBERS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(quick_relu(leaf), leaf, gradient)
    assert torch.equal(slope, relu_slope(gradient, result))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_layout_input_and_other_types_are_left_as_they_are(dtype) -> None:
    """Channels last stays so, for the result and for a gradient that lies otherwise."""
    inputs = images(dtype)
    before = inputs.clone()
    leaf = inputs.requires_grad_()
    result = quick_relu(leaf)
    (slope,) = torch.autograd.grad(result, leaf, torch.ones(inputs.shape, dtype=dtype))
    assert torch.equal(inputs, before) and torch.equal(result, before.relu())
    assert torch.equal(slope, (before > 0).to(dtype))
    assert result.is_contiguous(memory_format=torch.channels_last) and result.dtype is slope.dtype is dtype
    with torch.no_grad():
        assert torch.equal(quick_relu(inputs), before.relu())


class Bent(nn.Module):
    """A ReLU of each way to write one, some behind what keeps its output for its own gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 8, 3, bias=False).requires_grad_(False), nn.ReLU()
        self.conv.weight.normal_(generator=torch.Generator().manual_seed(0))

    def forward(self, inputs):
        hidden = self.conv(inputs)
        hidden = torch.relu(self.relu(hidden) - 0.1) + nn.functional.relu(hidden.tanh())
        return hidden.relu().mean((2, 3))


def test_all_relus_of_a_traced_network_are_replaced() -> None:
    """And the network answers as before, with the same gradients."""
    network = fx.symbolic_trace(Bent())
    inputs = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = network(inputs)
    use_quick_relus(network)
    found = [node for node in network.graph.nodes if is_relu(node, dict(network.named_modules()))]
    assert [node.target for node in found] == [quick_relu] * 4
    assert torch.equal(network(inputs), expected)
    slopes = [torch.autograd.grad(each.sum(), inputs)[0] for each in (network(inputs), expected)]
    assert torch.equal(*slopes)


class Clamping(nn.Module):
    """Reads again what a ReLU in place has changed."""

    def __init__(self, relu) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, inputs):
        hidden = inputs - 0.5
        return self.relu(hidden) + hidden


@pytest.mark.parametrize(
    "relu",
    [
        nn.ReLU(inplace=True),
        torch.relu_,
        lambda hidden: hidden.relu_(),
        lambda hidden: nn.functional.relu(hidden, inplace=True),
    ],
)
def test_a_relu_that_changes_what_others_read_stays(relu) -> None:
    """Elsewhere one in place is as good as any."""
    network = use_quick_relus(fx.symbolic_trace(Clamping(relu)))
    inputs = torch.rand(4, 3)
    assert torch.equal(network(inputs), 2 * (inputs - 0.5).relu())
    assert quick_relu not in [node.target for node in network.graph.nodes]


def test_the_low_form_has_them() -> None:
    """And the exact form keeps torch's own."""
    probe = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    low, exact = low_form(Bent(), probe), inference_form(Bent(), probe)
    assert low is not None
    assert [
        sum(
            node.target is quick_relu
            for part in form.modules()
            if isinstance(part, fx.GraphModule)
            for node in part.graph.nodes
        )
        for form in (low, exact)
    ] == [4, 0]
