"""The ways to write a ReLU that a traced network can hold, and their replacement by the quickest."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from bench.acceleration.bit_relu import quick_relu

__all__ = ["is_relu", "use_quick_relus"]

_FUNCTIONS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_, quick_relu)


def is_relu(node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether the node is the ReLU of one other node.

    Args:
        node: of a traced network.
        modules: that network's, by name.
    """
    if len(node.all_input_nodes) != 1 or node.args[:1] != tuple(node.all_input_nodes):
        return False
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    return node.target in (_FUNCTIONS if node.op == "call_function" else ("relu", "relu_"))


def use_quick_relus(network: fx.GraphModule) -> fx.GraphModule:
    """Replace ReLUs by `quick_relu`, but for those that change what others read, too; `network` is changed."""
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        if is_relu(node, modules) and not (_in_place(node, modules) and len(node.all_input_nodes[0].users) > 1):
            with network.graph.inserting_before(node):
                node.replace_all_uses_with(network.graph.call_function(quick_relu, tuple(node.all_input_nodes)))
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()
    return network


def _in_place(node: fx.Node, modules: dict[str, Any]) -> bool:
    if node.op == "call_module":
        return bool(modules[str(node.target)].inplace)
    named = str(getattr(node.target, "__name__", node.target))
    return named == "relu_" or any(node.args[1:]) or bool(node.kwargs.get("inplace"))
