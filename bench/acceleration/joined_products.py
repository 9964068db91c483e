"""Products of one input with several weights, computed as one.

A router has a linear layer for every convolution that it steers, and mixes two vectors for every norm: dozens of tiny
products with the same left factor, whose calls cost more than their arithmetic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["join_products"]

_PRODUCTS = (operator.matmul, torch.matmul)


def join_products(network: fx.GraphModule) -> fx.GraphModule:
    """Join linear layers that read the same, and products of the same with constants; `network` is changed.

    Args:
        network: traced, with weights that do not change any more, on one device and in one type.
    """
    _share_casts(network.graph)
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        users = list(node.users)
        layers = [user for user in users if _is_linear(user, modules)]
        if len(layers) > 1:
            _join_layers(network, node, layers, [modules[str(layer.target)] for layer in layers])
        products = [user for user in users if _is_product(user, node, network)]
        if len(products) > 1:
            _join_constants(network, node, products)
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()
    return network


def _share_casts(graph: fx.Graph) -> None:
    """Let what is cast to float32 several times be cast once."""
    first: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op == "call_method" and node.target == "float" and len(node.args) == 1 and not node.kwargs:
            kept = first.setdefault(node.args[0], node)
            if kept is not node:
                node.replace_all_uses_with(kept)
                graph.erase_node(node)


def _is_linear(node: fx.Node, modules: dict[str, Any]) -> bool:
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return type(module) is nn.Linear and module.bias is not None


def _is_product(node: fx.Node, left: fx.Node, network: fx.GraphModule) -> bool:
    """Whether the node is the product of `left` with a constant matrix."""
    if node.op != "call_function" or node.target not in _PRODUCTS or len(node.args) != 2 or node.args[0] is not left:
        return False
    constant = node.args[1]
    return isinstance(constant, fx.Node) and constant.op == "get_attr" and _constant(network, constant).dim() == 2


def _join_layers(network: fx.GraphModule, left: fx.Node, nodes: Sequence[fx.Node], layers: Sequence[nn.Linear]) -> None:
    name = f"_joined_layers_of_{left.name}"
    network.add_submodule(name, _one_layer(layers))
    sizes = [layer.out_features for layer in layers]
    _split(network.graph, left, nodes, sizes, lambda graph: graph.call_module(name, (left,)))


def _one_layer(layers: Sequence[nn.Linear]) -> nn.Linear:
    weight = torch.cat([layer.weight.detach() for layer in layers])
    joined = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    joined.weight = nn.Parameter(weight, requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]), requires_grad=False)
    return joined


def _join_constants(network: fx.GraphModule, left: fx.Node, nodes: Sequence[fx.Node]) -> None:
    name = f"_joined_constants_of_{left.name}"
    constants = [_constant(network, node.args[1]) for node in nodes]
    network.register_buffer(name, torch.cat(constants, dim=1))
    sizes = [constant.shape[1] for constant in constants]

    def product(graph: fx.Graph) -> fx.Node:
        return graph.call_function(torch.matmul, (left, graph.get_attr(name)))

    _split(network.graph, left, nodes, sizes, product)


def _split(
    graph: fx.Graph, left: fx.Node, nodes: Sequence[fx.Node], sizes: list[int], make: Callable[[fx.Graph], fx.Node]
) -> None:
    """Put the joined node behind `left`, and its parts in the place of `nodes`."""
    with graph.inserting_before(left.next):
        parts = graph.call_function(torch.split, (make(graph), sizes), {"dim": -1})
        for number, node in enumerate(nodes):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (parts, number)))


def _constant(network: fx.GraphModule, node: Any) -> Tensor:
    value: Tensor = operator.attrgetter(str(node.target))(network)
    return value
