"""Random directions in weight space, normalised filter by filter, and the loss along them.

Li et al. 2018 (arXiv 1712.09913), section 4: a Gaussian direction whose every filter has the norm of the filter that it
is added to, so that landscapes of networks with weights of different scale can be compared. Biases and batch norms,
which have no filters, stay as they are.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench.core import digest

__all__ = ["along", "direction"]

_LEAST_DIMENSIONS = 2


def direction(module: nn.Module, *, seed: int, number: int) -> dict[str, Tensor]:
    """A direction, by the names of the parameters that it moves; the draw is the same for networks of one architecture.

    Args:
        module: the network.
        seed: of all directions.
        number: which of them.
    """
    moved = {name: value for name, value in module.named_parameters() if value.dim() >= _LEAST_DIMENSIONS}
    found = {}
    for place, (name, weights) in enumerate(moved.items()):
        key = int(digest.of_json([seed, "direction", number, place])[:15], 16)
        drawn = torch.randn(weights.shape, generator=torch.Generator().manual_seed(key)).to(weights)
        size = drawn.flatten(1).norm(dim=1).clamp_min(torch.finfo(drawn.dtype).tiny)
        scale = weights.detach().flatten(1).norm(dim=1) / size
        found[name] = drawn * scale.view(-1, *[1] * (weights.dim() - 1))
    return found


def along(
    module: nn.Module,
    heading: Mapping[str, Tensor],
    distances: Sequence[float],
    measure: Callable[[nn.Module], Tensor],
) -> list[Tensor]:
    """Measure a network at distances along a direction; the network itself is not touched.

    Args:
        module: the network.
        heading: by the names of parameters; see `direction`.
        distances: in units of the direction; at 1 every filter has moved by its own norm.
        measure: of a network, one value per example, `(N,)`.
    """
    moving = copy.deepcopy(module)
    found = []
    for distance in distances:
        with _moved(moving, heading, distance):
            found.append(measure(moving))
    return found


@contextlib.contextmanager
def _moved(module: nn.Module, heading: Mapping[str, Tensor], distance: float) -> Iterator[None]:
    parameters = dict(module.named_parameters())
    home = {name: parameters[name].detach().clone() for name in heading}
    with torch.no_grad():
        for name, delta in heading.items():
            parameters[name].copy_(home[name] + distance * delta)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weights in home.items():
                parameters[name].copy_(weights)
