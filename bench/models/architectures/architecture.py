"""What an architecture is: a name and a function that builds the module from plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["Architecture"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of networks.

    Args:
        name: the name that manifests and recipes use.
        build: returns the network; its keyword arguments are JSON values and always include
            `num_classes` and `in_channels`. Inputs are in [0, 1], outputs are logits.
        paper: where it was published.
        translate: turns the state of another architecture into a start for a new module of this one.
        published_parameters: parameter counts to be checked against, each with the arguments
            that give it.
    """

    name: str
    build: Callable[..., nn.Module]
    paper: str
    translate: Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]] | None = None
    published_parameters: tuple[tuple[dict[str, object], int], ...] = ()
