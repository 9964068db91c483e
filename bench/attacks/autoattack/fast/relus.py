"""The ways to write a ReLU that a traced network can hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

__all__ = ["is_relu"]

_FUNCTIONS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_)


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
