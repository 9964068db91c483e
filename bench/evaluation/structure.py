"""What a model declares of its structure, held against the model's own logits before anything relies on it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.structure import DummyClasses, Routed, Structure, structures_of
from bench.evaluation.model_guard import guarded
from bench.ops.full_float32 import full_float32

__all__ = ["checked_structures", "hidden_structures"]

LARGEST_DRIFT = 1e-4


def checked_structures(module: nn.Module, inputs: Tensor, device: torch.device) -> tuple[Structure, ...]:
    """The structures that the model declares, each true of a few inputs.

    Args:
        module: the model; it is handed back as it was.
        inputs: `(N, C, H, W)`, in [0, 1].
        device: where to compute.

    Raises:
        BenchError: if a declaration does not give the model's own logits, or a part of the model has a structure that
            the whole does not declare.
    """
    declared = structures_of(module)
    hidden = hidden_structures(module, declared)
    if hidden:
        raise BenchError(
            f"Part {hidden[0]!r} of the model has dummy classes or a router that the model itself does not declare, so"
            " that no adaptive attack could use them. Hand its methods on (`raw`; `route` and `routed`)."
        )
    with guarded(module, device), full_float32(), torch.no_grad():
        inputs = inputs.to(device)
        for structure in declared:
            (_check_pairs if structure == "raw-pairs" else _check_routes)(module, inputs)
    return declared


def hidden_structures(module: nn.Module, declared: tuple[Structure, ...]) -> tuple[str, ...]:
    """Names of parts with a structure that the whole does not declare."""
    return tuple(
        name for name, part in module.named_modules() if name and not set(structures_of(part)) <= set(declared)
    )


def _check_pairs(module: nn.Module, inputs: Tensor) -> None:
    logits, raw = module(inputs), cast(DummyClasses, module).raw(inputs)
    expected = (len(logits), 2 * logits.shape[1])
    if raw.shape != expected:
        raise BenchError(f"Expected `raw` of the model to return logits {expected}, but got {tuple(raw.shape)}.")
    if not _alike(torch.maximum(*raw.chunk(2, dim=1)), logits):
        raise BenchError(
            "Expected logit c of the model to be the larger of `raw`'s c and c + C, but it is another number."
            " Rename `raw` if it means something else."
        )


def _check_routes(module: nn.Module, inputs: Tensor) -> None:
    model = cast(Routed, module)
    route = model.route(inputs)
    mix = getattr(route, "mix", None)
    if (
        not isinstance(mix, Tensor)
        or mix.shape != (len(inputs), 2)
        or not _alike(mix.sum(1), torch.ones_like(mix[:, 0]))
    ):
        raise BenchError("Expected `route` of the model to have `mix`, weights (N, 2) that sum to 1, and `signals`.")
    if not _alike(model.routed(inputs, route), model(inputs)):
        raise BenchError(
            "Expected `routed` under the model's own `route` to give the model's logits, but it gives others."
            " Rename `route` and `routed` if they mean something else."
        )


def _alike(first: Tensor, second: Tensor) -> bool:
    scale = float(second.abs().amax().clamp_min(1))
    return first.shape == second.shape and bool(((first - second).abs() <= LARGEST_DRIFT * scale).all())
