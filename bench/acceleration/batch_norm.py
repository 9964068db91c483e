"""Batch norm folded into the convolutions before it, in a form that follows the network's weights as they change.

In evaluation mode `bn(conv(x))` is one convolution with weight `w * s` and bias `b - m * s`, where per channel
`s = g / sqrt(v + e)` (running mean `m`, running variance `v`, learned scale `g` and shift `b`). It differs by rounding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Folded", "convolution_before", "traced"]


class Folded:
    """The folded form of one network; everything that is not folded is shared with it.

    Args:
        network: the form, a graph of the network's modules with convolutions of its own.
        pairs: the network's convolution and batch norm, and the convolution that stands for both.
    """

    def __init__(self, network: fx.GraphModule, pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]]) -> None:
        self._network = network
        self._pairs = pairs

    @classmethod
    def of(cls, module: nn.Module) -> Folded | None:
        """The form of `module` in evaluation mode, or None where it cannot be traced or has nothing to fold."""
        was_training = module.training
        try:
            network = traced(module.eval())
        except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError):
            return None
        finally:
            module.train(was_training)
        pairs = _fold(network)
        return cls(network, pairs) if pairs else None

    @torch.no_grad()
    def refreshed(self) -> nn.Module:
        """The form with the network's present weights and statistics."""
        for convolution, norm, folded in self._pairs:
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None
            assert variance is not None
            scale = torch.rsqrt(variance + norm.eps) * norm.weight
            shift = norm.bias - mean * scale
            folded.weight.copy_(convolution.weight * scale.view(-1, 1, 1, 1))
            assert folded.bias is not None
            folded.bias.copy_(shift if convolution.bias is None else shift + convolution.bias * scale)
        return self._network


def traced(module: nn.Module) -> fx.GraphModule:
    """`module` as a graph of its calls.

    Raises:
        TraceError: if it decides by values, or switches gradients on or off inside, which a graph would forget.
        Exception: whatever else the module raises while it is traced.
    """
    with _NoSwitches():
        graph = fx.Tracer().trace(module)
    return fx.GraphModule(module, graph)


class _NoSwitches(TorchFunctionMode):
    """Refuses `torch.no_grad`, `torch.enable_grad` and their like."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch._C._set_grad_enabled:
            raise fx.proxy.TraceError("A graph does not keep where gradients are switched on and off.")
        return func(*args, **(kwargs or {}))


def convolution_before(node: fx.Node, modules: dict[str, nn.Module]) -> fx.Node | None:
    """The convolution whose output goes into this batch norm and nowhere else, where both are called once."""
    if node.op != "call_module" or type(modules[str(node.target)]) is not nn.BatchNorm2d:
        return None
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
        return None
    calls = [other.target for other in node.graph.nodes if other.op == "call_module"]
    if calls.count(before.target) > 1 or calls.count(node.target) > 1:
        return None
    return before if type(modules[str(before.target)]) is nn.Conv2d else None


def _fold(network: fx.GraphModule) -> list[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]]:
    modules = dict(network.named_modules())
    pairs = []
    for node in list(network.graph.nodes):
        before = convolution_before(node, modules)
        if before is None:
            continue
        convolution, norm = modules[str(before.target)], modules[str(node.target)]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        if norm.running_mean is None or not norm.affine:
            continue
        folded = _with_bias(convolution)
        network.set_submodule(str(before.target), folded)
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
        pairs.append((convolution, norm, folded))
    network.delete_all_unused_submodules()
    network.recompile()
    return pairs


def _with_bias(convolution: nn.Conv2d) -> nn.Conv2d:
    """A frozen copy that has a bias."""
    folded = copy.deepcopy(convolution)
    folded.bias = nn.Parameter(folded.weight.new_zeros(folded.out_channels))
    return folded.requires_grad_(False)
