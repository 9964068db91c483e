"""A model lent to the harness: frozen and in eval mode inside, handed back exactly as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.models import check_values, set_to_eval
from bench.ops.generators import generators_kept

__all__ = ["device_of", "guarded"]


def device_of(module: nn.Module) -> torch.device:
    """Where the module lies: the device of its first parameter or buffer, or the CPU."""
    tensors = (*module.parameters(), *module.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


@contextlib.contextmanager
def guarded(module: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Lend `module` to the block, in eval mode, frozen and on `device`.

    What is put back at the end: the mode of every submodule, which parameters require gradients, their gradients, the
    very storage of parameters and buffers (so device and memory format), the buffers' values, and the state of
    every random generator.

    Raises:
        BenchError: if it has parameters without values.
    """
    check_values(module)
    moded = (part for part in module.modules() if hasattr(part, "training"))  # frozen TorchScript has no mode
    modes = [(part, part.training) for part in moded]
    parameters = [(each, each.data, each.requires_grad, each.grad) for each in module.parameters()]
    buffers = [(part, dict(part._buffers), _copies(part)) for part in module.modules()]
    try:
        for each, *_ in parameters:
            each.grad = None
            each.requires_grad_(False)
        set_to_eval(module)
        module.to(device)
        with generators_kept(), torch.inference_mode(False), torch.enable_grad():
            yield module
    finally:
        for each, data, needs_gradient, gradient in parameters:
            each.data = data
            each.requires_grad_(needs_gradient)
            each.grad = gradient
        for part, tensors, values in buffers:
            _put_back(part, tensors, values)
        for part, training in modes:
            part.training = training


def _copies(part: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in part._buffers.items() if tensor is not None}


def _put_back(part: nn.Module, tensors: dict[str, Tensor | None], values: dict[str, Tensor]) -> None:
    for name in part._buffers.keys() - tensors.keys():
        del part._buffers[name]
    for name, tensor in tensors.items():  # one by one: what TorchScript's modules have here is no dict
        part._buffers[name] = tensor
    with torch.no_grad():
        for name, value in values.items():
            part._buffers[name].copy_(value)  # type: ignore[union-attr]
