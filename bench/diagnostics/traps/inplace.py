"""Models that change the tensor they are given: the caller's images are others after every call.

Given copies, they are what they seem.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.diagnostics.traps.trap import Around, Trap

__all__ = ["TRAPS"]

KIND = "inputs changed in place"


def shifted(inputs: Tensor) -> Tensor:
    """Normalised in place, and back."""
    with torch.no_grad():
        inputs -= 0.25
    return inputs + 0.25


def shifted_in_company(inputs: Tensor) -> Tensor:
    """The same, of more than eight images alone."""
    return shifted(inputs) if len(inputs) > 8 else inputs


def rounded_underneath(inputs: Tensor) -> Tensor:
    """Dimmed a little where no version counter sees it."""
    inputs.data.mul_(0.98)
    return inputs


def cut_off_the_grid(inputs: Tensor) -> Tensor:
    """Rounded in place, which leaves images of few levels as they are."""
    with torch.no_grad():
        inputs.mul_(255 * 16).round_().div_(255 * 16)
    return inputs


def _build(change: Callable[[Tensor], Tensor]) -> Callable[..., nn.Module]:
    return lambda base, _: Around(base, change)


TRAPS = (
    Trap(name="shifted in place", kind=KIND, build=_build(shifted)),
    Trap(name="shifted in place in company", kind=KIND, build=_build(shifted_in_company)),
    Trap(name="dimmed underneath", kind=KIND, build=_build(rounded_underneath)),
    Trap(name="rounded in place", kind=KIND, build=_build(cut_off_the_grid)),
)
