from __future__ import annotations

import torch
from torch import fx, nn

from bench.acceleration.constant_folding import precomputed
from bench.acceleration.forms import inference_form
from bench.acceleration.joined_products import join_products


class Steered(nn.Module):
    """Several layers and several products with constants read the same; one of each reads something else."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.heads = nn.ModuleList(nn.Linear(12, size) for size in (3, 5, 4))
        self.last, self.bare = nn.Linear(4, 4), nn.Linear(12, 4, bias=False)
        self.constants = nn.ParameterList(torch.randn(3, size, generator=generator) for size in (5, 2, 4))
        for parameter in self.requires_grad_(False).parameters():
            parameter.uniform_(-1, 1, generator=generator)

    def forward(self, inputs):
        hidden = inputs.flatten(1)
        mix, five, four = (head(hidden) for head in self.heads)
        found = (five.sigmoid() * (mix.float() @ self.constants[0].exp())).sum(1, keepdim=True)
        found = found * (mix.float() @ self.constants[1].exp()).sum(1, keepdim=True)
        return self.last(four * found) + torch.matmul(mix, self.constants[2].exp()) + self.bare(hidden)


def traced(model: nn.Module) -> fx.GraphModule:
    return precomputed(fx.symbolic_trace(model))


def calls(network: fx.GraphModule, target: object) -> int:
    return sum(node.target is target for node in network.graph.nodes)


def test_what_reads_the_same_is_one_product() -> None:
    """Three heads are one layer, two of three products one; a layer without bias and what stands alone stay."""
    network = join_products(traced(Steered()))
    layers = [part for part in network.modules() if type(part) is nn.Linear]
    assert sorted(layer.out_features for layer in layers) == [4, 4, 12]
    products = [node for node in network.graph.nodes if node.target is torch.matmul]
    assert sorted(getattr(network, node.args[1].target).shape[1] for node in products) == [4, 7]
    assert sum(node.target == "float" for node in network.graph.nodes) == 1
    assert calls(network, torch.split) == 2
    network.graph.lint()


def test_answers_and_gradients_stay() -> None:
    """Up to rounding, for any number of inputs."""
    plain = Steered()
    network = join_products(traced(plain))
    for count in (1, 5):
        inputs = torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(count)).requires_grad_()
        answers = [each(inputs) for each in (network, plain)]
        torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-4)
        slopes = [torch.autograd.grad(answer.square().sum(), inputs)[0] for answer in answers]
        assert slopes[0].abs().max() > 1
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)


class Shared(nn.Module):
    """One constant times several inputs, and one input times several vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.first, self.second = (
            nn.Parameter(torch.ones(size) / 3, requires_grad=False) for size in ((4, 4), (4,), (4,))
        )

    def forward(self, inputs):
        return (
            (inputs @ self.matrix)
            + (inputs.tanh() @ self.matrix)
            + (inputs @ self.first * (inputs @ self.second))[:, None]
        )


def test_other_products_are_left_alone() -> None:
    """The calls are the same, and so are the answers."""
    network = precomputed(fx.symbolic_trace(Shared()))
    inputs, before = torch.rand(3, 4), network.code
    assert join_products(network).code == before
    torch.testing.assert_close(network(inputs), Shared()(inputs))


def test_a_network_with_nothing_to_join_is_left_alone() -> None:
    """Its calls are the same."""
    network = fx.symbolic_trace(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    before = network.code
    assert join_products(network).code == before


def test_the_form_that_answers_fastest_has_it() -> None:
    """Traced from the model itself."""
    form = inference_form(Steered(), torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert isinstance(form, fx.GraphModule)
    assert calls(form, torch.split) == 2
