"""Classifiers small enough that their robust accuracy is computed, not attacked: an oracle for every harness.

A linear classifier's smallest margin in a ball is a closed form (in L2 with the box a line search of one variable, by
the KKT conditions). A net with one hidden layer of a few ReLUs is linear for every pattern of them, so its smallest
margin is the least of a linear program for each pattern.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor, nn

from bench.core.types import Examples, Norm, ThreatModel

__all__ = ["Array", "Layers", "differences", "hidden_net", "linear_margins", "linear_net", "smallest_margin"]

Array = NDArray[np.float64]
_DIVISIONS = 100
_RIDGE = 10.0


class Layers(NamedTuple):
    """A net as matrices: `second (first x + first_bias)+ + second_bias`."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array


def linear_net(train: Examples, num_classes: int) -> nn.Module:
    """The ridge regression of one-hot labels on pixels, a linear classifier without a draw or a step."""
    flat = nn.Linear(train.inputs[0].numel(), num_classes)
    _fit(flat, train.inputs.flatten(1), train.labels)
    return nn.Sequential(nn.Flatten(), flat).eval().requires_grad_(False)


def hidden_net(train: Examples, num_classes: int, *, hidden: int, seed: int = 0) -> nn.Module:
    """A few ReLUs of random sums of pixels, and the ridge regression on them."""
    draws = torch.Generator().manual_seed(seed)
    flat = train.inputs.flatten(1)
    first, last = nn.Linear(flat.shape[1], hidden), nn.Linear(hidden, num_classes)
    with torch.no_grad():
        first.weight.copy_(torch.randn(first.weight.shape, generator=draws))
        first.bias.copy_(-(flat @ first.weight.T).mean(0))
        _fit(last, first(flat).relu(), train.labels)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).eval().requires_grad_(False)


def linear_margins(net: nn.Module, examples: Examples, threat_model: ThreatModel) -> Array:
    """The exact smallest margin of each example within the ball and the box, `(N,)`, of what `linear_net` makes."""
    weights, bias = _matrix(net, 1)
    low, high = _reach(examples.inputs, threat_model)
    epsilon = float(threat_model.epsilon)
    margins = []
    flat = examples.inputs.flatten(1).double().numpy()
    for image, label, lower, upper in zip(flat, examples.labels.tolist(), low, high, strict=True):
        slopes, offsets = differences(weights, bias, label)
        falls = np.minimum(slopes * (lower - image), slopes * (upper - image)).sum(1)
        if threat_model.norm is Norm.L2:
            falls = np.array([_fall(slope, lower - image, upper - image, epsilon) for slope in slopes])
        margins.append((slopes @ image + offsets + falls).min())
    return np.array(margins)


def hidden_margins(net: nn.Module, examples: Examples, threat_model: ThreatModel) -> Array:
    """The same in Linf, of what `hidden_net` makes."""
    layers = Layers(*_matrix(net, 1), *_matrix(net, 3))
    low, high = _reach(examples.inputs, threat_model)
    triples = zip(low, high, examples.labels.tolist(), strict=True)
    return np.array([smallest_margin(layers, *each) for each in triples])


def differences(weights: Array, bias: Array, label: int) -> tuple[Array, Array]:
    """Weights and offsets of `z_label - z_k` for every other class k."""
    others = [k for k in range(len(weights)) if k != label]
    return weights[label] - weights[others], bias[label] - bias[others]


def smallest_margin(layers: Layers, low: Array, high: Array, label: int) -> float:
    """The exact smallest margin between two corners `(D,)`: a linear program for each pattern of ReLUs and class."""
    middle, radius = (low + high) / 2, (high - low) / 2
    centre, spread = layers.first @ middle + layers.first_bias, np.abs(layers.first) @ radius
    choices = [[True] if c > s else [False] if c < -s else [False, True] for c, s in zip(centre, spread, strict=True)]
    weights, offsets = differences(layers.second, layers.second_bias, label)
    found = np.inf
    for pattern in product(*choices):
        active = np.array(pattern)
        sign = np.where(active, -1.0, 1.0)
        inside = {"A_ub": sign[:, None] * layers.first, "b_ub": -sign * layers.first_bias}
        for row, offset in zip(weights * active, offsets, strict=True):
            solved = linprog(row @ layers.first, **inside, bounds=list(zip(low, high, strict=True)))
            if solved.success:
                found = min(found, solved.fun + row @ layers.first_bias + offset)
    return float(found)


def _fall(slope: Array, low: Array, high: Array, epsilon: float) -> float:
    """The least of `slope x` over `|x| <= epsilon`, `low <= x <= high`: x is `-t slope` cut off, of the largest t."""
    least, most = 0.0, 1e6

    def moved(t: float) -> Array:
        return np.clip(-t * slope, low, high)

    if np.linalg.norm(moved(most)) > epsilon:
        for _ in range(_DIVISIONS):
            middle = (least + most) / 2
            if np.linalg.norm(moved(middle)) > epsilon:
                most = middle
            else:
                least = middle
        most = least
    return float(slope @ moved(most))


def _reach(inputs: Tensor, threat_model: ThreatModel) -> tuple[Array, Array]:
    """The corners of the Linf ball within the box, or of the box alone, `(N, D)` each."""
    flat = inputs.flatten(1).double().numpy()
    epsilon = float(threat_model.epsilon) if threat_model.norm is Norm.LINF else 1.0
    return (flat - epsilon).clip(0, 1), (flat + epsilon).clip(0, 1)


def _matrix(net: nn.Module, number: int) -> tuple[Array, Array]:
    layer = net[number]  # type: ignore[index]
    return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()


def _fit(layer: nn.Linear, features: Tensor, labels: Tensor) -> None:
    """Ridge regression of one-hot labels, with an offset."""
    inputs = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    wanted = nn.functional.one_hot(labels, layer.out_features).double()
    gram = inputs.T @ inputs + _RIDGE * torch.eye(inputs.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(gram, inputs.T @ wanted)
    with torch.no_grad():
        layer.weight.copy_(solved[:-1].T)
        layer.bias.copy_(solved[-1])
