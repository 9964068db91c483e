"""The shipped digits models as base networks, and the doctor on a few digits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from bench import data, models
from bench.data import Dataset
from bench.diagnostics import diagnose
from bench.row.record import Diagnostic

FEW = 24


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def base(digits: Dataset) -> nn.Module:
    """An adversarially trained network: what is built around it is a defence of something that is robust."""
    return models.load("pgd-at", dataset=digits).module


@pytest.fixture(scope="session")
def plain(digits: Dataset) -> nn.Module:
    """A network without a defence."""
    return models.load("standard", dataset=digits).module


@pytest.fixture
def examined(digits: Dataset) -> Callable[..., dict[str, Diagnostic]]:
    """Examine a module on a few digits; the answer by the id of the check."""

    def call(module: nn.Module, *checks: str, **options: object) -> dict[str, Diagnostic]:
        settings = {"threat_model": digits.default_threat_model, "num_classes": digits.num_classes, **options}
        examples = settings.pop("examples", digits.examples[:FEW])
        found = diagnose(module.eval(), examples, checks=checks or None, **settings)
        return {diagnostic.id: diagnostic for diagnostic in found}

    return call
