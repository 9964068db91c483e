"""What a model can declare about how it decides, so that attacks can aim at it.

A declaration is methods of the model, no base class: `raw` for dummy classes (DUCAT), `route` and `routed` for a router
(AW-Net). The harness holds each declaration against the model's own logits before it relies on it. A model that draws
random numbers says so by an attribute, `stochastic = True`.

This module needs no torch; the tensors that pass through it are only named in annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DummyClasses", "Route", "Routed", "Structure", "is_stochastic", "structures_of"]

Structure = Literal["raw-pairs", "routes"]

_METHODS: dict[Structure, tuple[str, ...]] = {"raw-pairs": ("raw",), "routes": ("route", "routed")}


class Route(NamedTuple):
    """What a router decides for a batch.

    Attributes:
        signals: for each regulated layer its filter scales `(N, filters)`; 1 leaves a filter as it is.
        mix: weights of the clean and the adversarial branch `(N, 2)` that sum to 1, the router's predicted type;
            or one branch for all (0 clean, 1 adversarial).
    """

    signals: tuple[Tensor, ...]
    mix: Tensor | int


class DummyClasses(Protocol):
    """A classifier with a dummy class behind each class; its logit c is max(z_c, z_{c+C}) of 2C raw logits z."""

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Recovered logits `(N, C)` of inputs `(N, C', H, W)` in [0, 1]."""
        ...

    def raw(self, inputs: Tensor, /) -> Tensor:
        """Raw logits `(N, 2C)`: the classes, then their dummies in the same order."""
        ...


class Routed(Protocol):
    """A classifier whose weights follow a route that it reads from the input: `routed(x, route(x))` is its answer.

    Under a constant route it is a static network: one of its sub-networks.
    """

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Logits `(N, C)` of inputs `(N, C', H, W)` in [0, 1]."""
        ...

    def route(self, inputs: Tensor, /) -> Route:
        """The route of each input, with mixing weights `(N, 2)`."""
        ...

    def routed(self, inputs: Tensor, route: Route, /) -> Tensor:
        """Logits `(N, C)` of inputs under a given route."""
        ...


def structures_of(classifier: object) -> tuple[Structure, ...]:
    """The structures that a classifier declares, by the methods that it has."""
    return tuple(
        structure
        for structure in get_args(Structure)
        if all(callable(getattr(classifier, method, None)) for method in _METHODS[structure])
    )


def is_stochastic(classifier: object) -> bool:
    """Whether a classifier declares that it draws random numbers: equal inputs, other logits."""
    return getattr(classifier, "stochastic", False) is True
