from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from bench.acceleration.affine import fuse_affine, scale_and_shift
from bench.acceleration.constant_folding import precomputed


class Scaled(nn.Module):
    """Scale and shift from weights alone and from the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.linspace(0.5, 2, channels)), nn.Parameter(torch.ones(channels))

    def forward(self, inputs):
        scale = torch.exp(self.weight) * inputs.mean((2, 3))
        shift = (self.bias * 2 + 1) * inputs.amax((2, 3))
        return torch.relu(inputs * scale[:, :, None, None] + shift[:, :, None, None])


def targets(network: fx.GraphModule) -> list[object]:
    return [node.target for node in network.graph.nodes]


@pytest.mark.parametrize("channels", [4, 16, 40])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_all_three_gradients_are_those_of_the_plain_expression(channels, layout) -> None:
    """Many channels or few, in either memory format."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, channels, 5, 6, generator=generator).to(memory_format=layout).requires_grad_()
    scale, shift = (torch.randn(3, channels, generator=generator).requires_grad_() for _ in range(2))
    weight = torch.randn(3, channels, 5, 6, generator=generator)
    plain = features * scale[:, :, None, None] + shift[:, :, None, None]
    fused = scale_and_shift(features, scale, shift)
    torch.testing.assert_close(fused, plain)
    expected, got = (torch.autograd.grad((out * weight).sum(), (features, scale, shift)) for out in (plain, fused))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_traced_network_computes_the_same_with_its_constants_and_affine_maps_replaced() -> None:
    """The exponential and the doubled bias become buffers, product and sum become one call."""
    inputs = torch.rand(2, 8, 4, 4).to(memory_format=torch.channels_last)
    module = Scaled(8)
    network = fuse_affine(precomputed(fx.symbolic_trace(module)))
    assert torch.exp not in targets(network)
    assert scale_and_shift in targets(network)
    assert len(list(network.buffers())) == 2
    torch.testing.assert_close(network(inputs), module(inputs))


def test_other_sums_are_left_alone() -> None:
    """A shift that is not one per channel is no affine map of channels."""

    class Other(nn.Module):
        def forward(self, inputs):
            return inputs * inputs.mean((2, 3))[:, :, None, None] + inputs

    network = fuse_affine(fx.symbolic_trace(Other()))
    assert scale_and_shift not in targets(network)
    inputs = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(network(inputs), Other()(inputs))
