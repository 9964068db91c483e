"""What the router of an AW-Net does to the filters, on clean and on adversarial inputs."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.analysis.analysis import Values
from bench.analysis.distributions import ks
from bench.analysis.estimate import mean, share
from bench.analysis.filters import layers
from bench.attacks import PGD
from bench.attacks.adaptive import ADVERSARIAL, CLEAN, SteerableView, log_types, with_router
from bench.attacks.search import Runs, ascend, random_start
from bench.core.structure import Route, Routed
from bench.core.types import Examples, ThreatModel
from bench.evaluation import CHUNK_SIZE
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["BINS", "routing"]

_TYPES = 2

BINS = tuple(np.linspace(0, 2, 41).tolist())
"""Edges of the histograms of signals, which lie in (0, 2); 1 leaves a filter as it is."""


def routing(
    module: nn.Module,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    pgd: PGD,
    seed: int,
) -> Values:
    """Measure a routed model.

    Args:
        module: it declares routes.
        examples: on its device.
        threat_model: what the attacks may do.
        pgd: an attack that does not look at the router apart; as many of its steps, steered, are the other one.
        seed: of both.

    Returns:
        For "none", "pgd" and "steered": the share of inputs whose type the router names correctly (what no attack made
        is clean). For each layer: histograms of the signals on clean inputs and on those of `pgd`, the
        Kolmogorov-Smirnov distance of the two, and by how much signals change the norm of a filter. With them the norms
        of the effective filters, signal times filter, where the regulated convolutions can be told from the module.
    """
    clean = _routes(module, examples.inputs)
    parts = list(examples.split(CHUNK_SIZE))
    points = {
        "pgd": torch.cat([pgd.perturb(module, part, threat_model, seed=seed) for part in parts]),
        "steered": torch.cat([_steered(module, part, threat_model, pgd=pgd, seed=seed) for part in parts]),
    }
    attacked = {name: _routes(module, inputs) for name, inputs in points.items()}
    called = {name: _called(attacked[name], inputs, ADVERSARIAL) for name, inputs in points.items()}
    called["none"] = _called(clean, examples.inputs, CLEAN)
    pairs = zip(clean.signals, attacked["pgd"].signals, strict=True)
    return {
        "router": {name: share(int(right.sum()), len(right)).json for name, right in called.items()},
        "layers": [
            {**_layer(before, after, seed), "effective": _effective(before, after, weights)}
            for (before, after), weights in zip(pairs, _regulated(module, clean.signals), strict=True)
        ],
    }


def _steered(module: nn.Module, examples: Examples, threat_model: ThreatModel, *, pgd: PGD, seed: int) -> Tensor:
    """The last iterates of an attack on the class that would have the router call them clean, `(N, C, H, W)`.

    PGD on the cross-entropy plus the logarithm of the probability of clean, as AW-Net's training measures it: the best
    iterate for the class alone need not have led the router.
    """
    start = random_start(examples, threat_model, Stream(seed=seed, attack="steered"))
    runs = Runs.at(start, pgd.rule(examples, threat_model), examples.labels)
    view = SteerableView(classifier=with_router(module, "steered"))
    return ascend(view, runs, _steering, steps=pgd.steps).current


def _steering(outputs: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    del targets
    classes, types = outputs[:, :-_TYPES], outputs[:, -_TYPES:]
    return losses.cross_entropy(classes, labels) + types[:, CLEAN]


def _layer(clean: Tensor, adversarial: Tensor, seed: int) -> Values:
    """One regulated convolution, signals `(N, filters)`; a signal w changes the norm of its filter by |w - 1|."""
    before, after = clean.double().cpu().numpy(), adversarial.double().cpu().numpy()
    return {
        "clean": np.histogram(before, BINS)[0].tolist(),
        "adversarial": np.histogram(after, BINS)[0].tolist(),
        "ks": ks(before.ravel(), after.ravel()),
        "change": mean(np.abs(before - 1).mean(axis=1), seed=seed).json,
        "moved": mean(np.abs(after - before).mean(axis=1), seed=seed).json,
    }


def _effective(clean: Tensor, adversarial: Tensor, weights: Tensor | None) -> Values | None:
    """Histograms of the norms of signal times filter; weights `(filters, D)`."""
    if weights is None:
        return None
    norm = weights.norm(dim=1)
    before, after = ((signals.double().cpu() * norm).flatten().numpy() for signals in (clean, adversarial))
    edges = np.linspace(0, 1.05 * max(before.max(), after.max()), len(BINS))
    return {
        "reach": float(edges[-1]),
        "clean": np.histogram(before, edges)[0].tolist(),
        "adversarial": np.histogram(after, edges)[0].tolist(),
        "static": np.histogram(norm.numpy(), edges)[0].tolist(),
        "ks": ks(before, after),
    }


def _regulated(module: nn.Module, signals: tuple[Tensor, ...]) -> list[Tensor | None]:
    """The filters that each signal scales: the last 3x3 convolutions outside the router, where their numbers fit."""
    wide = {
        name: weights
        for name, weights in layers(module).items()
        if not name.startswith("router.") and module.get_submodule(name).kernel_size == (3, 3)
    }
    found = list(wide.values())[-len(signals) :]
    fits = [len(weights) for weights in found] == [signal.shape[1] for signal in signals]
    return list(found) if fits else [None] * len(signals)


def _routes(module: nn.Module, inputs: Tensor) -> Route:
    with torch.no_grad():
        parts = [cast(Routed, module).route(part) for part in torch.split(inputs, CHUNK_SIZE)]
    signals = tuple(torch.cat(each) for each in zip(*(part.signals for part in parts), strict=True))
    return Route(signals, torch.cat([_mix(part) for part in parts]))


def _mix(route: Route) -> Tensor:
    if isinstance(route.mix, int):
        raise ValueError(f"Expected `route.mix` to be weights (N, 2), but got branch {route.mix}.")
    return route.mix


def _called(route: Route, inputs: Tensor, kind: int) -> Tensor:
    """Whether the router calls each input this: bool `(N,)`."""
    return log_types(route, inputs).argmax(dim=1) == kind
