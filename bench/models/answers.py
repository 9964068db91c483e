"""Does a model answer as a classifier must, and unless it says that it is stochastic, alike every time?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.structure import is_stochastic
from bench.ops.generators import generators_kept

__all__ = ["check_answers", "check_logits", "check_repeated", "differs"]

# Two passes over the same batch differ by nothing on a CPU and by rounding on a GPU.
SAME = 1e-4
# One image alone takes other kernels than a batch does: rounding, but more of it.
ALONE = 1e-2


def check_answers(
    module: nn.Module,
    inputs: Tensor,
    *,
    num_classes: int,
    name: str,
    dataset: str,
    advice: Callable[[int], str] = lambda n_logits: "",
) -> None:
    """Check what `module` answers on images of the dataset; the global random generators are left as they were.

    Args:
        module: in eval mode.
        inputs: `(N, C, H, W)` in [0, 1], on the module's device; a few images of the dataset, no noise.
        num_classes: number of logits that it must give.
        name: of the model, for messages.
        dataset: name of the dataset, for messages.
        advice: what to do about another number of logits, for the message.

    Raises:
        BenchError: if the model fails, or returns no tensor, another shape, non-finite numbers, probabilities, or,
            unless it is declared stochastic, different logits for the same images or logits that depend on the other
            images of the batch.
    """
    who = f"model {name!r}"
    with generators_kept(), torch.no_grad():
        logits = _answer(module, inputs, who, dataset)
        if logits.shape[1] != num_classes:
            raise BenchError(
                f"Expected {num_classes} logits, the classes of {dataset}, from {who}, but got"
                f" {logits.shape[1]}.{advice(logits.shape[1])}"
            )
        if not torch.isfinite(logits).all():
            raise BenchError(f"Expected {who} to return finite logits on images of {dataset}, but got NaN or infinity.")
        check_repeated(logits, _answer(module, inputs, who, dataset), who, stochastic=is_stochastic(module))
        if is_stochastic(module):
            return
        alone = _answer(module, inputs[:1], who, dataset)
        apart = (logits[:1] - alone).abs().max() if alone.shape == (1, num_classes) else torch.inf
        if apart > ALONE * (1 + logits[:1].abs().max()):
            raise BenchError(
                f"Model {name!r} answers an image alone otherwise than among others; expected logits that depend on"
                " their own image alone (does it use batch statistics in eval mode?)."
            )


def check_logits(logits: object, count: int, who: str = "the model") -> None:
    """Refuse what are no logits of `count` examples.

    Args:
        logits: what was returned.
        count: number of examples.
        who: returned them, for messages.

    Raises:
        BenchError: saying what they are.
    """
    if not isinstance(logits, Tensor):
        raise BenchError(
            f"Expected {who} to return a tensor of logits, but got a {type(logits).__name__};"
            " wrap it in a module that returns the logits alone."
        )
    dense = logits.layout is torch.strided
    if logits.ndim != 2 or len(logits) != count or not logits.is_floating_point() or not dense:
        kind = "" if dense else "sparse "
        raise BenchError(
            f"Expected {who} to return floating-point logits ({count}, num_classes),"
            f" but got {tuple(logits.shape)} of {kind}{str(logits.dtype).removeprefix('torch.')}."
        )


def check_repeated(first: Tensor, second: Tensor, who: str = "the model", *, stochastic: bool = False) -> None:
    """Refuse logits `(N, K)` that are probabilities, or others at the second pass over the same images.

    Args:
        first: of the first pass.
        second: of the second.
        who: returned them, for messages.
        stochastic: whether the model says that its passes differ.

    Raises:
        BenchError: saying which.
    """
    sums = first.double().sum(1)
    if bool((first >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)):
        raise BenchError(
            f"Expected {who} to return logits, but got probabilities (each row is at least 0 and sums to 1)."
            " Leave out its last softmax."
        )
    if not stochastic and differs(first, second):
        apart = (first - second).abs().nan_to_num(0, 0, 0)
        raise BenchError(
            f"Expected a deterministic model, but {who} is stochastic: it gives different logits for the same inputs"
            f" (by up to {apart.max().item():.3g}). Declare it, by --stochastic or an attribute `stochastic = True`,"
            " and evaluate it with --suite rand-v1."
        )


def differs(first: Tensor, second: Tensor) -> bool:
    """Whether two passes over the same images gave other logits `(N, K)`, by more than rounding."""
    apart = (first - second).abs().nan_to_num(0, 0, 0)
    return bool((apart > SAME * first.abs().nan_to_num(0, 0, 0).amax().clamp_min(1)).any())


def _answer(module: nn.Module, inputs: Tensor, who: str, dataset: str) -> Tensor:
    try:
        logits: Tensor = module(inputs)
    except Exception as error:
        shape = tuple(inputs.shape)
        raise BenchError(
            f"{who[0].upper()}{who[1:]} fails on images of {dataset}, {shape}: {reason_of(error)}"
        ) from error
    check_logits(logits, len(inputs), who)
    return logits
