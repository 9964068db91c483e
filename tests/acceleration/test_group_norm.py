from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from bench.acceleration.forms import inference_form, low_form
from bench.acceleration.group_norm import GroupNorm, fuse_group_norms


def norm(channels: int = 8) -> nn.GroupNorm:
    made = nn.GroupNorm(2, channels)
    with torch.no_grad():
        made.weight.copy_(torch.linspace(-0.5, 2, channels))
        made.bias.copy_(torch.linspace(-1, 1, channels))
    return made.requires_grad_(False)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_value_and_gradient_are_those_of_torch(relu, layout) -> None:
    """With groups of a mean far from 0, and of different deviations."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 8, 5, 6, generator=generator) * torch.tensor([0.3, 2, 9])[:, None, None, None] + 1
    images = images.to(memory_format=layout).requires_grad_()
    weight = torch.randn(3, 8, 5, 6, generator=generator)
    theirs = norm()(images).relu() if relu else norm()(images)
    ours = GroupNorm(norm(), relu=relu)(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    expected, got = (torch.autograd.grad((out * weight).sum(), images)[0] for out in (theirs, ours))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(GroupNorm(norm(), relu=relu)(images), ours)


def test_what_is_no_image_is_left_to_torch() -> None:
    """As features after pooling."""
    features = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(GroupNorm(norm(), relu=True)(features), norm()(features).relu())


def test_bfloat16_stays_as_close_to_float32_as_torch_does() -> None:
    """Sums are taken in float32."""
    images = torch.randn(4, 8, 16, 16, generator=torch.Generator().manual_seed(0)) + 2
    exact = norm()(images)
    low = images.to(torch.bfloat16).to(memory_format=torch.channels_last)
    ours, theirs = GroupNorm(norm(), relu=False)(low).float(), norm()(low).float()
    assert (ours - exact).abs().mean() <= 1.5 * (theirs - exact).abs().mean()


class Normed(nn.Module):
    """One norm in front of a ReLU, one that is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second, self.relu = nn.Conv2d(3, 8, 3), norm(), norm(), nn.ReLU()

    def forward(self, inputs):
        hidden = self.second(self.relu(self.first(self.conv(inputs))))
        return (hidden.relu() + hidden).mean((2, 3))


def test_a_traced_network_has_its_norms_replaced_with_the_relu_where_that_alone_reads_them() -> None:
    """And answers the same."""
    network = fx.symbolic_trace(Normed().eval())
    inputs = torch.rand(2, 3, 8, 8)
    expected = network(inputs)
    fuse_group_norms(network)
    ours = [part for part in network.modules() if isinstance(part, GroupNorm)]
    assert [part.relu for part in ours] == [True, False]
    torch.testing.assert_close(network(inputs), expected)


def test_the_low_form_has_it() -> None:
    """And the exact form keeps torch's own."""
    probe = torch.rand(2, 3, 8, 8)
    low, exact = low_form(Normed().eval(), probe), inference_form(Normed().eval(), probe)
    assert low is not None
    assert [sum(isinstance(part, GroupNorm) for part in form.modules()) for form in (low, exact)] == [2, 0]
