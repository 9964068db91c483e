"""A network in the form that answers fastest: folded, channels last, frozen; and that form in bfloat16.

Batch norms go into the convolutions before them, and what depends on weights alone is computed once. Logits and their
gradients at the input stay the same up to rounding, which is checked on real inputs. Verdicts are never taken here: the
harness judges every candidate on the original model.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from bench.attacks.autoattack.fast.affine import fuse_affine
from bench.attacks.autoattack.fast.constants import precomputed
from bench.attacks.autoattack.fast.fused import fused
from bench.ops.folding import Folded

__all__ = ["Bfloat16", "inference_form", "low_form"]

ROUNDING = 1e-4
"""Largest accepted change of a logit, relative to the largest logit; the same for gradients."""
LOW_ROUNDING = 0.1
"""The same for logits in bfloat16: beyond it a search there would be about another model."""


def inference_form(module: nn.Module, probe: Tensor) -> nn.Module:
    """A frozen copy of `module` that computes the same logits and gradients faster, or else the module itself.

    Args:
        module: maps inputs `(N, C, H, W)` to logits `(N, K)`, in eval mode; it is not changed.
        probe: inputs to compare on, `(N, C, H, W)`, N at least 1.
    """
    for make in (_folded, _frozen):
        form = _tried(make, module)
        if form is not None and _same(module, form, probe):
            return form
    return module


def low_form(module: nn.Module, probe: Tensor) -> nn.Module | None:
    """A copy of `module` that computes in bfloat16, or None where there is none that is close to it on `probe`.

    First with the parameters of convolutions and linear layers alone in bfloat16, which leaves norms and whatever a
    model computes of its own in float32; then with all of them.
    """
    for kinds in ((nn.Conv2d, nn.Linear), (nn.Module,)):
        form = _tried(lambda each, kinds=kinds: Bfloat16(each, kinds=kinds), module)  # type: ignore[misc]
        if isinstance(form, Bfloat16) and _same(module, form, probe, rounding=LOW_ROUNDING, slopes=False):
            form.fuse(probe)
            return form
    return None


class Bfloat16(nn.Module):
    """A copy of a network that computes in bfloat16, from float32 inputs to float32 logits.

    Args:
        module: what to copy; it is not changed.
        kinds: which of its submodules are converted.
    """

    def __init__(self, module: nn.Module, *, kinds: tuple[type[nn.Module], ...] = (nn.Module,)) -> None:
        super().__init__()
        self.module = copy.deepcopy(module)
        for part in self.module.modules():
            if isinstance(part, kinds):
                part.to(torch.bfloat16)
            if isinstance(part, nn.GroupNorm):
                part.register_forward_pre_hook(_channels_first)
        self.eval()
        self.requires_grad_(False)
        self.without_gradients: nn.Module = self.module

    def fuse(self, probe: Tensor) -> None:
        """Answer in fewer calls where no gradient is wanted, if that gives the same on `probe`."""
        form = _tried(fused, self.module) if isinstance(self.module, fx.GraphModule) else None
        if form is not None and _answers_alike(self.module, form, probe.to(torch.bfloat16)):
            self.without_gradients = form

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` in float32."""
        network = self.module if torch.is_grad_enabled() else self.without_gradients
        logits: Tensor = network(inputs.to(torch.bfloat16))
        return logits.float()


def _channels_first(norm: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Lay a group norm's input out channels first on a CPU, where its bfloat16 backward is five times faster so."""
    return tuple(each.contiguous() if each.device.type == "cpu" else each for each in inputs)


def _folded(module: nn.Module) -> nn.Module:
    plain = copy.deepcopy(module).eval()
    folded = Folded.of(plain)
    network = folded.refreshed() if folded is not None else fx.symbolic_trace(plain)
    return _channels_last(fuse_affine(precomputed(network)) if isinstance(network, fx.GraphModule) else network)


def _frozen(module: nn.Module) -> nn.Module:
    return _channels_last(copy.deepcopy(module).eval())


def _channels_last(module: nn.Module) -> nn.Module:
    form: nn.Module = module.requires_grad_(False).to(memory_format=torch.channels_last)
    return form


def _tried(make: Callable[[Any], nn.Module | None], module: nn.Module) -> nn.Module | None:
    """What `make` makes of a module, or None: a user's model may do anything while it is traced or copied."""
    try:
        return make(module)
    except Exception:  # noqa: BLE001 - see above; the model itself then takes the form's place
        return None


def _same(
    first: nn.Module, second: nn.Module, probe: Tensor, *, rounding: float = ROUNDING, slopes: bool = True
) -> bool:
    """Whether two modules give the same up to rounding, for a batch and for one input alone."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a traced module prints where it failed
            answers = [(_answer(first, inputs), _answer(second, inputs)) for inputs in (probe, probe[:1])]
    except Exception:  # noqa: BLE001 - as above; a form that fails is no form
        return False
    return all(
        _close(expected, got, rounding)
        for answer, other in answers
        for expected, got in list(zip(answer, other, strict=True))[: 2 if slopes else 1]
    )


@torch.no_grad()
def _answers_alike(first: nn.Module, second: nn.Module, probe: Tensor) -> bool:
    """Whether two modules that compute in bfloat16 give the same logits up to its rounding, without a graph."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return all(_close(first(x).float(), second(x).float(), LOW_ROUNDING / 4) for x in (probe, probe[:1]))
    except Exception:  # noqa: BLE001 - as above
        return False


def _answer(module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of the largest at the input; 0 where none flows."""
    leaf = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = module(leaf)
        strongest = logits.amax(dim=1).sum()
        if not strongest.requires_grad:
            return logits, torch.zeros_like(leaf)
        (slope,) = torch.autograd.grad(strongest, leaf, allow_unused=True, materialize_grads=True)
    return logits.detach(), slope


def _close(expected: Tensor, got: Tensor, rounding: float) -> bool:
    """Whether nothing differs by more than rounding, relative to the largest expected value; NaN equals nothing."""
    if expected.shape != got.shape:
        return False
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return bool(((expected - got).abs() <= rounding * scale).all()) or bool((expected == got).all())
