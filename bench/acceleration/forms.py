"""A network in the form that answers fastest: folded, channels last, frozen; and that form in bfloat16.

Batch norms go into the convolutions before them, and what depends on weights alone is computed once. Logits and their
gradients at the input stay the same up to rounding, which is checked on inputs that are the same in every run: the form
of a model depends on nothing but the model, the device and versions. Verdicts are never taken here: the harness judges
every candidate on the original model.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from bench.acceleration.affine import fuse_affine
from bench.acceleration.batch_norm import Folded, traced
from bench.acceleration.constant_folding import precomputed
from bench.acceleration.cuda_graphs import GraphReplay
from bench.acceleration.equivalence import alike, close
from bench.acceleration.fused_convolutions import fused
from bench.acceleration.group_norm import fuse_group_norms
from bench.acceleration.joined_products import join_products
from bench.acceleration.relus import use_quick_relus
from bench.ops.sampling import Stream, uniform

__all__ = ["FastForms", "Silenced", "inference_form", "low_form", "trial_inputs"]

ROUNDING = 1e-4
"""Largest accepted change of a logit, relative to the largest logit."""
TURNING = 0.05
"""Largest accepted change of the gradients, relative to their norm: rounding turns a ReLU near zero on or off."""
LOW_ROUNDING = 0.1
"""`ROUNDING` in bfloat16: beyond it a search there would be about another model."""
LOW_TURNING = 0.5
"""`TURNING` in bfloat16; the shipped models' gradients change by up to 0.2 there."""
_TRIALS = 8


def trial_inputs(like: Tensor) -> Tensor:
    """Inputs to compare forms on: uniform in [0, 1), of `like`'s shape and on its device, the same in every run.

    Args:
        like: inputs `(N, C, H, W)`, whose values and number do not matter.

    Returns:
        float32 `(8, C, H, W)`.
    """
    stream = Stream(seed=0, attack="inference-form")
    return uniform(stream, torch.arange(_TRIALS, device=like.device), like.shape[1:])


def inference_form(module: nn.Module, probe: Tensor) -> nn.Module:
    """A frozen copy of `module` that computes the same logits and gradients faster, or else the module itself.

    Args:
        module: maps inputs `(N, C, H, W)` to logits `(N, K)`, in eval mode; it is not changed.
        probe: inputs to compare on, `(N, C, H, W)`, N at least 1.
    """
    return _fastest(_plain_form(module, probe), probe)


def _fastest(plain: nn.Module, probe: Tensor) -> nn.Module:
    silent = _in_fewer_calls(plain, probe, rounding=ROUNDING)
    return _replayed(plain if silent is None else Silenced(plain, silent), plain, probe)


def low_form(module: nn.Module, probe: Tensor) -> nn.Module | None:
    """A copy of `module` that computes in bfloat16, or None where there is none that is close to it on `probe`.

    First with the parameters of convolutions and linear layers alone in bfloat16, which leaves norms and whatever a
    model computes of its own in float32; then with all of them.
    """
    return _lowest(module, _plain_form(module, probe), probe)


def _lowest(module: nn.Module, plain: nn.Module, probe: Tensor) -> nn.Module | None:
    for kinds in ((nn.Conv2d, nn.Linear), (nn.Module,)):
        form = _tried(lambda each, kinds=kinds: _bfloat16(each, kinds), plain)  # type: ignore[misc]
        if form is not None and _same(module, Bfloat16(form), probe, rounding=LOW_ROUNDING, turning=LOW_TURNING):
            silent = _in_fewer_calls(form, probe.to(torch.bfloat16), rounding=LOW_ROUNDING / 4)
            return _replayed(Bfloat16(form if silent is None else Silenced(form, silent)), form, probe)
    return None


class FastForms:
    """The forms of one model, each made when it is first asked for, and once.

    Args:
        module: maps inputs `(N, C, H, W)` to logits `(N, K)`, in eval mode, on its device.
        like: inputs `(N, C, H, W)` on that device; their shape alone matters.
    """

    def __init__(self, module: nn.Module, like: Tensor) -> None:
        self.module = module
        self.trial = trial_inputs(like)

    @functools.cached_property
    def exact(self) -> nn.Module:
        """As `inference_form`."""
        return _fastest(self._plain, self.trial)

    @functools.cached_property
    def low(self) -> nn.Module | None:
        """As `low_form`."""
        return _lowest(self.module, self._plain, self.trial)

    @functools.cached_property
    def _plain(self) -> nn.Module:
        return _plain_form(self.module, self.trial)


class Silenced(nn.Module):
    """A network that answers in fewer calls where no gradient is wanted.

    Args:
        network: maps inputs to logits.
        silent: the same, without gradients.
    """

    def __init__(self, network: nn.Module, silent: nn.Module) -> None:
        super().__init__()
        self.network, self.silent = network, silent

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)`."""
        logits: Tensor = self.network(inputs) if torch.is_grad_enabled() else self.silent(inputs)
        return logits


class Bfloat16(nn.Module):
    """A network that computes in bfloat16, from float32 inputs to float32 logits.

    Args:
        module: with parameters in bfloat16.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` in float32."""
        logits: Tensor = self.module(inputs.to(torch.bfloat16))
        return logits.float()


def _plain_form(module: nn.Module, probe: Tensor) -> nn.Module:
    """Folded and frozen, in the calls that the module makes; itself where that is something else."""
    for make in (_folded, _frozen):
        form = _tried(make, module)
        if form is not None and _same(module, form, probe, rounding=ROUNDING, turning=TURNING):
            return form
    return module


def _bfloat16(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> nn.Module:
    """A frozen copy of `network` with the submodules of those kinds converted."""
    low = copy.deepcopy(network).eval().requires_grad_(False)
    for part in low.modules():
        if isinstance(part, kinds):
            part.to(torch.bfloat16)
    return use_quick_relus(fuse_group_norms(low)) if isinstance(low, fx.GraphModule) else low


@torch.no_grad()
def _in_fewer_calls(network: nn.Module, probe: Tensor, *, rounding: float) -> nn.Module | None:
    """The fused network, if it answers as the network does on `probe`, which is of the network's type."""
    form = _tried(fused, network) if isinstance(network, fx.GraphModule) else None
    if form is None:
        return None
    return form if all(_same_in_silence(network, form, x, rounding) for x in (probe, probe[:1])) else None


def _replayed(form: nn.Module, network: nn.Module, probe: Tensor) -> nn.Module:
    """The form, on a GPU from CUDA graphs: where its network is traced, nothing in it depends on values."""
    return GraphReplay(form) if probe.is_cuda and isinstance(network, fx.GraphModule) else form


def _folded(module: nn.Module) -> nn.Module:
    plain = copy.deepcopy(module).eval()
    folded = Folded.of(plain)
    network = folded.refreshed() if folded is not None else traced(plain)
    if isinstance(network, fx.GraphModule):
        network = fuse_affine(join_products(precomputed(network)))
    return _channels_last(network)


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


def _same(first: nn.Module, second: nn.Module, probe: Tensor, *, rounding: float, turning: float) -> bool:
    """Whether two modules give the same up to rounding, for a batch and one input alone, with gradients and without."""
    return all(
        alike(first, second, each, rounding=rounding, turning=turning)
        and _same_in_silence(first, second, each, rounding)
        for each in (probe, probe[:1])
    )


@torch.no_grad()
def _same_in_silence(first: nn.Module, second: nn.Module, inputs: Tensor, rounding: float) -> bool:
    """Whether two modules give the same without gradients; one that then fails does not."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a traced module prints where it failed
            return close(first(inputs).float(), second(inputs).float(), rounding)
    except Exception:  # noqa: BLE001 - as below; whatever a user's model does
        return False
