"""ReLUs: the ways to write one that a traced network can hold, and the quickest, which takes their place.

In bfloat16 on a CPU it is computed on the bits. A bfloat16 number is negative where the same 16 bits, read as an
integer, are, and zero where they are. So ReLU is the larger of that integer and 0, and its gradient the one at the
output times the lesser of that integer and 1: the same bits as torch's own, which converts every number to float32 and
back, and takes several times as long. (Except for NaN: one whose sign bit is set becomes 0. No verdict is taken in
bfloat16.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["is_relu", "quick_relu", "quick_relu_", "relu_slope", "use_quick_relus"]


def quick_relu(images: Tensor) -> Tensor:
    """ReLU of any tensor, which may require gradients."""
    if not _suits(images):
        return images.relu()
    result: Tensor = _Differentiable.apply(images) if torch.is_grad_enabled() else _clamped(images)
    return result


def quick_relu_(images: Tensor) -> Tensor:
    """ReLU in place, of a tensor that requires no gradient."""
    if not _suits(images):
        return images.relu_()
    images.view(torch.int16).clamp_min_(0)
    return images


def relu_slope(gradient: Tensor, result: Tensor) -> Tensor:
    """The gradient at the input of a ReLU, from that at its output and the output itself."""
    if not (_suits(gradient) and _suits(result)):
        slope: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
        return slope
    return result.view(torch.int16).clamp_max(1).mul_(gradient.view(torch.int16)).view(torch.bfloat16)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        result = _clamped(images)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return relu_slope(gradient, result)


def _clamped(images: Tensor) -> Tensor:
    return images.view(torch.int16).clamp_min(0).view(torch.bfloat16)


def _suits(images: Tensor) -> bool:
    return images.dtype is torch.bfloat16 and images.device.type == "cpu"


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
