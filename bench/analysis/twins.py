"""How far the filters of two networks of one architecture lie apart, layer by layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from bench.analysis.analysis import Values
from bench.analysis.distributions import Array, permutations_for, separation
from bench.analysis.estimate import mean
from bench.analysis.filters import STATISTICS, layers, statistics
from bench.models import LoadedModel

__all__ = ["MEASURES", "among", "compare"]

EDGES = 41
MEASURES = ("ks", "wasserstein")


def compare(first: LoadedModel, second: LoadedModel, seed: int) -> Values:
    """Per layer: distances of every statistic, and histograms of all weights over a common range."""
    one, other = layers(first.module), layers(second.module)
    found = []
    for name in one:
        ours, theirs = statistics(one[name]), statistics(other[name])
        edges = np.linspace(*_range(one[name].numpy(), other[name].numpy()), EDGES)
        entry: Values = {
            "name": name,
            "n_filters": len(one[name]),
            "reach": float(edges[-1]),
            "weights": [np.histogram(weights.numpy(), edges)[0].tolist() for weights in (one[name], other[name])],
        }
        for key in STATISTICS:
            found_apart = vars(
                separation(ours[key].numpy(), theirs[key].numpy(), seed=seed, permutations=permutations_for(len(one)))
            )
            entry[key] = {measure: float(f"{value:.6g}") for measure, value in found_apart.items()}
        found.append(entry)
    return {"layers": found}


def among(twins: Sequence[LoadedModel]) -> Values:
    """Distances between the twins themselves: per layer the mean over all pairs, then the mean over layers."""
    found: list[Values] = []
    for one, other in itertools.combinations(twins, 2):
        ours, theirs = layers(one.module), layers(other.module)
        found += [{"layer": name, **_distances(ours[name], theirs[name])} for name in ours]
    by_layer = {name: [entry for entry in found if entry["layer"] == name] for name in layers(twins[0].module)}
    return {
        key: {
            measure: mean(
                [np.mean([entry[key][measure] for entry in entries]) for entries in by_layer.values()], seed=0
            ).json
            for measure in MEASURES
        }
        for key in STATISTICS
    }


def _distances(first: Tensor, second: Tensor) -> Values:
    ours, theirs = statistics(first), statistics(second)
    return {key: vars(separation(ours[key].numpy(), theirs[key].numpy(), seed=0, permutations=1)) for key in STATISTICS}


def _range(first: Array, second: Array) -> tuple[float, float]:
    """Where 99 % of both samples lie, around 0."""
    reach = max(float(np.quantile(np.abs(sample), 0.99)) for sample in (first, second)) or 1.0
    return -reach, reach
