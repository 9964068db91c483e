"""A model that is ready to be evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.models.zoo.spec import ModelSpec
from bench.row import ArchitectureSpec, Fingerprint, Manifest

__all__ = ["LoadedModel", "check_values", "freeze", "set_to_eval"]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be evaluated.

    Args:
        name: as it was asked for: "aw-net", "timm:resnet18", "net.py:make".
        module: maps inputs in [0, 1] to logits `(N, num_classes)`; in eval mode, its parameters frozen.
        digest: of its state: names, dtypes, shapes and bytes.
        factory_digest: of the sources that build it, the user's modules that these import included.
        fingerprint: its logits on fixed inputs of the data; None where nobody asked.
        num_classes: number of logits.
        manifest: of the checkpoint, for models with one.
        spec: the zoo's description, for models of the zoo.
        architecture: what it was built as, for models of the zoo.
        class_names: what its logits stand for, where its source says.
        remarks: what a user should know of how it was loaded and is asked, a line each.
    """

    name: str
    module: nn.Module
    digest: str
    factory_digest: str
    fingerprint: Fingerprint | None = None
    num_classes: int
    manifest: Manifest | None = None
    spec: ModelSpec | None = None
    architecture: ArchitectureSpec | None = None
    class_names: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()


def freeze(module: nn.Module, device: str | torch.device) -> nn.Module:
    """Put `module` on `device`, in eval mode, with frozen parameters; return it.

    Raises:
        BenchError: if it has parameters without values, or refuses to be moved or set.
    """
    check_values(module)
    try:
        set_to_eval(module.to(device))
    except Exception as error:  # of layers that may not be moved, such as 4-bit ones, or the device's own
        raise BenchError(f"The model cannot be put on {device} in eval mode: {reason_of(error)}") from error
    for parameter in module.parameters():  # one by one, since TorchScript's modules do not freeze themselves
        parameter.requires_grad_(False)
    return module


def set_to_eval(module: nn.Module) -> None:
    """Set `module` to eval mode; in an exported program the mode is fixed, and only its flag is set."""
    try:
        module.eval()
    except NotImplementedError:
        nn.Module.train(module, mode=False)


def check_values(module: nn.Module) -> None:
    """Refuse a module that is not all there yet, or that nothing can be differentiated through.

    Raises:
        BenchError: naming the first parameter or buffer that has no values, or was made in inference mode.
    """
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor) or tensor.is_meta:
            why = (
                "its layer is lazy: call the model once in its factory" if is_lazy(tensor) else "it is on device 'meta'"
            )
            raise BenchError(f"Parameter {name!r} of the model has no values yet ({why}, or give --weights).")
        if tensor.is_inference():
            raise BenchError(
                f"Parameter {name!r} of the model was made under torch.inference_mode, so there are no gradients"
                " through it: build the model outside it, or under torch.no_grad."
            )
