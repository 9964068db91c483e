"""A network that others trained, with the robust accuracy that others published."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import data, models
from bench.attacks.autoattack import AutoAttack
from bench.attacks.cw import CW
from bench.attacks.pgd import PGD
from bench.core.types import Examples
from bench.evaluation import Evaluation, evaluate
from bench.models import LoadedModel
from bench.suites import AttackSuite

N_CLEAN = 7720


@pytest.fixture(scope="module")
def examples(cifar10_dir: Path) -> Examples:
    """The official test split."""
    return data.load("cifar10", data_dir=cifar10_dir).examples


@pytest.fixture(scope="module")
def model(cifar10_dir: Path, known_answers: Path) -> LoadedModel:
    """The published weights in a user's own file."""
    return models.load(
        f"{Path(__file__).parent / 'resnet4b.py'}:make",
        weights=known_answers / "resnet4b" / "resnet4b.pth",
        dataset=data.load("cifar10", data_dir=cifar10_dir),
    )


def attacked(model: LoadedModel, examples: Examples, threat_model: str, *attacks: object) -> Evaluation:
    suite = AttackSuite(name="known", version=1, attacks=attacks)
    return evaluate(model.module, examples, threat_model=threat_model, suite=suite, batch_size=1024)


@pytest.mark.parametrize(("threat_model", "percent"), [("Linf:2/255", 62.8), ("Linf:1/255", 70.35)])
def test_pgd_20_reproduces_the_measured_accuracy(
    model: LoadedModel, examples: Examples, threat_model: str, percent: float
) -> None:
    """PGD-20 on the cross-entropy, step epsilon/4, on all 10,000 images: within 0.2 points; clean to the image."""
    found = attacked(model, examples, threat_model, PGD())
    assert found.n_clean == N_CLEAN
    assert 100 * found.robust_accuracy == pytest.approx(percent, abs=0.2)


def test_autoattack_is_no_weaker_than_pgd_on_the_margin(model: LoadedModel, examples: Examples) -> None:
    """AutoAttack's own package, through bench, leaves no more examples robust than margin PGD does."""
    found = attacked(model, examples[:64], "Linf:2/255", CW(), AutoAttack())
    margin, ensemble = found.attacks
    assert ensemble.n_robust <= margin.n_robust < found.n_clean
