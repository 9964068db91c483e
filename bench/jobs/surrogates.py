"""Other models of the same data, on which points are crafted that a model is then tried on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from bench import models
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.data import Dataset
from bench.evaluation import FINGERPRINT_IMAGES, take_fingerprint
from bench.models import LoadedModel
from bench.row import same_function
from bench.suites import AttackSuite

__all__ = ["chosen_surrogates", "load_surrogates", "shipped_surrogates"]

SURROGATES = ("pgd-at", "trades", "standard")
"""Models of the zoo that examples are transferred from, where they have a checkpoint for the dataset."""


def chosen_surrogates(
    names: Sequence[str],
    suite: AttackSuite,
    model: LoadedModel,
    *,
    dataset: Dataset,
    threat_model: ThreatModel,
    device: torch.device,
) -> tuple[LoadedModel, ...]:
    """The models that a suite transfers from: those named, or else the first of the zoo's that are another function.

    Args:
        names: in any form of `bench.models.sources`; none for the zoo's.
        suite: says how many at most.
        model: what is evaluated, with its fingerprint.
        dataset: what it is evaluated on.
        threat_model: what the attacker may do.
        device: where the surrogates go.

    Raises:
        BenchError: if one is named twice or cannot be loaded, or there is none for the dataset.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BenchError(f"Surrogate {twice!r} is named twice. Name each model once.")
    if names or not suite.most_surrogates:
        loading = (models.load(name, dataset=dataset, threat_model=threat_model, device=device) for name in names)
        return tuple(loading)
    found = tuple(itertools.islice(_others(model, dataset, device), suite.most_surrogates))
    if not found:
        raise BenchError(
            f"Suite {suite.label} transfers from other models, and bench ships none for {dataset.name!r}: name one or"
            " two that tell its classes apart, --surrogate net.py:make."
        )
    return found


def load_surrogates(model: LoadedModel, dataset: Dataset, device: torch.device) -> dict[str, nn.Module]:
    """Other models of the dataset, which examples are transferred from, by their names."""
    loaded = _loaded(dataset, device)
    return {each.name: each.module for each in loaded if each.digest != model.digest}


def shipped_surrogates(dataset: Dataset) -> tuple[str, ...]:
    """Their names; none where what comes with the package cannot be read."""
    shipped: set[str] = set()
    with contextlib.suppress(OSError):
        shipped = {each.spec.name for each in models.listing() if dataset.name in each.datasets}
    return tuple(name for name in SURROGATES if name in shipped)


def _loaded(dataset: Dataset, device: torch.device) -> Iterator[LoadedModel]:
    return (models.load(name, dataset=dataset, device=device) for name in shipped_surrogates(dataset))


def _others(model: LoadedModel, dataset: Dataset, device: torch.device) -> Iterator[LoadedModel]:
    """Those that are not the model itself, in whatever form it came."""
    images = dataset.examples[:FINGERPRINT_IMAGES].inputs.to(device)
    for each in _loaded(dataset, device):
        if same_function(take_fingerprint(each.module, images), model.fingerprint) is not True:
            yield each
