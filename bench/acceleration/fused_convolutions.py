"""A traced network for passes without gradients on a CPU: convolution, residual sum and ReLU in one call.

The calls are those that torch's own compiler makes for oneDNN, with weights laid out once instead of at every pass.
They are not documented, so whoever uses this form compares it with the network first, and does without it if it fails.
"""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from bench.acceleration.relus import is_relu

__all__ = ["fused"]

_ADD = (operator.add, torch.add)


def fused(network: fx.GraphModule) -> nn.Module | None:
    """A copy of `network` with fused calls, or None where there is nothing to fuse.

    Args:
        network: on the CPU, frozen, in eval mode.
    """
    form = copy.deepcopy(network)
    modules = dict(form.named_modules())
    count = 0
    for node in list(form.graph.nodes):
        found = _convolution_into(node, modules)
        if found is None:
            continue
        convolution, residual = found
        name = f"_fused_{count}"
        replaces = residual not in (None, convolution.args[0]) and _is_spent(residual, node, modules)
        modules[name] = _FusedConvolution(modules[str(convolution.target)], in_place=replaces)
        form.add_submodule(name, modules[name])
        with form.graph.inserting_before(node):
            inputs = (convolution.args[0],) if residual is None else (convolution.args[0], residual)
            node.replace_all_uses_with(form.graph.call_module(name, inputs))
        count += 1
    form.graph.eliminate_dead_code()
    form.delete_all_unused_submodules()
    form.recompile()
    return form if count else None


class _FusedConvolution(nn.Module):
    """ReLU(conv(x)), or ReLU(conv(x) + y), which may take the place of y."""

    def __init__(self, convolution: nn.Module, *, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        assert isinstance(convolution, nn.Conv2d)
        assert not isinstance(convolution.padding, str)
        self.geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(convolution.weight.detach(), *self.geometry)
        self.bias = convolution.bias

    def forward(self, inputs: Tensor, residual: Tensor | None = None) -> Tensor:
        call = torch.ops.mkldnn._convolution_pointwise
        given = (self.weight, self.bias, *self.geometry)
        result: Tensor
        if residual is None:
            result = call(inputs, *given, "relu", [], "")
        elif self.in_place:
            replace = torch.ops.mkldnn._convolution_pointwise_
            result = replace.binary(residual, inputs, *given, "add", 1.0, "relu", [], "")
        else:
            result = call.binary(inputs, residual, *given, "add", 1.0, "relu", [], "")
        return result


def _convolution_into(node: fx.Node, modules: dict[str, Any]) -> tuple[fx.Node, fx.Node | None] | None:
    """The convolution that ends in this ReLU and nowhere else, and what is added to it in between, if anything."""
    if not is_relu(node, modules):
        return None
    (before,) = node.all_input_nodes
    if _is_convolution(before, modules):
        return before, None
    if before.target not in _ADD or len(before.users) > 1 or len(before.args) != 2:
        return None
    for convolution, other in (before.args, before.args[::-1]):
        if isinstance(convolution, fx.Node) and isinstance(other, fx.Node) and _is_convolution(convolution, modules):
            return convolution, other
    return None


def _is_spent(residual: fx.Node, node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether nothing reads what is added after this ReLU: it is new memory, and only convolutions read it before."""
    made_new = is_relu(residual, modules) or _is_new(residual, modules)
    order = {each: number for number, each in enumerate(node.graph.nodes)}
    others = [user for user in residual.users if user not in node.all_input_nodes]
    return made_new and all(_is_new(user, modules) and order[user] < order[node] for user in others)


def _is_new(node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether the node's result is memory of its own."""
    return node.op == "call_module" and isinstance(modules[str(node.target)], (nn.Conv2d, _FusedConvolution))


def _is_convolution(node: Any, modules: dict[str, Any]) -> bool:
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.users) > 1:
        return False
    module = modules[str(node.target)]
    plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return plain and module.weight.device.type == "cpu"
