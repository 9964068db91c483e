"""What a frozen network computes from its weights alone, computed once instead of at every pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

__all__ = ["precomputed"]

_COMPUTED = ("call_function", "call_method")


def precomputed(network: fx.GraphModule) -> fx.GraphModule:
    """Replace every tensor that depends on parameters and buffers alone by a buffer; `network` is changed.

    Args:
        network: traced, with weights that do not change any more.
    """
    values: dict[fx.Node, Any] = {}
    for node in network.graph.nodes:
        if node.op == "get_attr":
            values[node] = _attribute(network, str(node.target))
        elif node.op in _COMPUTED and node.all_input_nodes and all(each in values for each in node.all_input_nodes):
            values[node] = _value(node, values)
    for number, (node, value) in enumerate(values.items()):
        if node.op in _COMPUTED and isinstance(value, Tensor) and any(user not in values for user in node.users):
            _put(network, node, f"_precomputed_{number}", value)
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()
    return network


@torch.no_grad()
def _value(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    arguments = fx.map_arg(node.args, lambda each: values[each])
    options = fx.map_arg(node.kwargs, lambda each: values[each])
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **options)
    return node.target(*arguments, **options)  # type: ignore[operator]  # a function's target is the function


def _put(network: fx.GraphModule, node: fx.Node, name: str, value: Tensor) -> None:
    network.register_buffer(name, value.detach().clone())
    with network.graph.inserting_before(node):
        node.replace_all_uses_with(network.graph.get_attr(name))


def _attribute(network: fx.GraphModule, path: str) -> Any:
    found: Any = network
    for name in path.split("."):
        found = getattr(found, name)
    return found
