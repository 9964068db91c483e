"""The first look at a model: does it answer images of the dataset as a deterministic classifier must?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of

__all__ = ["probe"]

# Two passes over the same batch differ by nothing on a CPU and by rounding on a GPU.
SAME = 1e-4
# One image alone takes other kernels than a batch does: rounding, but more of it.
ALONE = 1e-2


def probe(
    module: nn.Module,
    inputs: Tensor,
    *,
    num_classes: int,
    name: str,
    dataset: str,
    advice: Callable[[int], str] = lambda n_logits: "",
) -> None:
    """Check what `module` answers on images of the dataset; the global random state is left as it was.

    Args:
        module: in eval mode.
        inputs: `(N, C, H, W)` in [0, 1], on the module's device; a few images of the dataset, no noise.
        num_classes: number of logits that it must give.
        name: of the model, for messages.
        dataset: name of the dataset, for messages.
        advice: what to do about another number of logits, for the message.

    Raises:
        BenchError: if the model fails, or returns no tensor, another shape, non-finite numbers, probabilities,
            different logits for the same images, or logits that depend on the other images of the batch.
    """
    with _random_state_kept(inputs.device), torch.no_grad():
        logits = _answer(module, inputs, name, dataset)
        if logits.ndim == 2 and len(logits) == len(inputs) and logits.shape[1] != num_classes:
            raise BenchError(
                f"Expected {num_classes} logits, the classes of {dataset}, from model {name!r}, but got"
                f" {logits.shape[1]}.{advice(logits.shape[1])}"
            )
        _check_logits(logits, (len(inputs), num_classes), name, dataset)
        again = _answer(module, inputs, name, dataset)
        if not _close(logits, again, SAME):
            raise BenchError(
                f"Model {name!r} is stochastic (two passes over the same images differ by"
                f" {(logits - again).abs().max().item():.3g}); bench evaluates deterministic models alone, for now."
            )
        alone = _answer(module, inputs[:1], name, dataset)
        if alone.shape != (1, num_classes) or not _close(logits[:1], alone, ALONE):
            raise BenchError(
                f"Model {name!r} answers an image alone otherwise than among others; expected logits that depend on"
                " their own image alone (does it use batch statistics in eval mode?)."
            )


def _answer(module: nn.Module, inputs: Tensor, name: str, dataset: str) -> Tensor:
    try:
        logits = module(inputs)
    except Exception as error:
        shape = tuple(inputs.shape)
        raise BenchError(f"Model {name!r} fails on images of {dataset}, {shape}: {reason_of(error)}") from error
    if not isinstance(logits, Tensor):
        raise BenchError(
            f"Expected model {name!r} to return a tensor of logits, but got a {type(logits).__name__};"
            " wrap it in a module that returns the logits alone."
        )
    return logits


def _check_logits(logits: Tensor, shape: tuple[int, int], name: str, dataset: str) -> None:
    dense = logits.layout is torch.strided
    if logits.shape != shape or not logits.is_floating_point() or not dense:
        kind = "" if dense else "sparse "
        raise BenchError(
            f"Expected model {name!r} to return floating-point logits of shape {shape},"
            f" but got {kind}{str(logits.dtype).removeprefix('torch.')} of shape {tuple(logits.shape)}."
        )
    if not torch.isfinite(logits).all():
        raise BenchError(
            f"Expected model {name!r} to return finite logits on images of {dataset}, but got NaN or infinity."
        )
    sums = logits.float().sum(dim=1)
    if (logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise BenchError(
            f"Model {name!r} returns probabilities (each row is non-negative and sums to 1); expected logits:"
            " leave the final softmax out."
        )


def _close(first: Tensor, second: Tensor, tolerance: float) -> bool:
    scale = 1 + first.abs().max()
    return bool(((first - second).abs().max() <= tolerance * scale).item())


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
