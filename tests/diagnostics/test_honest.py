"""Honest models: every shipped checkpoint of digits, plain and robust, fails nothing."""

from __future__ import annotations

import pytest

from bench import data, models
from bench.diagnostics import claim_of, diagnose, diagnose_briefly, select
from bench.jobs.closed_forms import linear_net

SHIPPED = [each.spec.name for each in models.listing() if "digits" in each.datasets]
SURVIVORS = {"R9", "R11", "R13", "R20"}
"""What takes longest; here on two models alone."""


def failures(found):
    return {each.id: each.evidence for each in found if each.failed}


def test_models_are_shipped():
    """Otherwise the tests below would test nothing."""
    assert {"standard", "pgd-at"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_fails_no_check(name, digits):
    """With every check but those of the survivors."""
    model = models.load(name, dataset=digits)
    found = diagnose(
        model.module,
        digits.examples[:16],
        threat_model=digits.default_threat_model,
        num_classes=digits.num_classes,
        checks=[check.id for check in select() if check.id not in SURVIVORS],
        claim=claim_of(model, dataset="digits"),
    )
    assert failures(found) == {}
    assert [each.id for each in found if each.status == "not applicable"] == []


@pytest.mark.parametrize("name", ["pgd-at", "standard"])
def test_survivors_of_a_shipped_model_are_survivors(name, digits, base, plain):
    """Neither noise nor queries, transfer, more steps or other seeds break what gradients left robust."""
    module = base if name == "pgd-at" else plain
    found = diagnose(
        module,
        digits.examples[100:116],
        threat_model=digits.default_threat_model,
        num_classes=digits.num_classes,
        checks=sorted(SURVIVORS),
        surrogates=[plain if name == "pgd-at" else base],
    )
    assert failures(found) == {}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_short_form_fails_no_shipped_model(name, digits):
    """With another seed."""
    module = models.load(name, dataset=digits).module
    found = diagnose_briefly(module, digits.examples, threat_model=digits.default_threat_model, num_classes=10, seed=1)
    assert failures(found) == {}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_linear_classifier_is_no_memory(number, digits):
    """One of eight pixels is a large shift to a map of 64 of them: a warning at most."""
    module = linear_net(data.load("digits", split="train").examples, 10)
    part = digits.examples[64 * number : 64 * (number + 1)]
    (found,) = diagnose(module, part, threat_model="Linf:1/20", num_classes=10, checks=["R21"])
    assert found.status in ("warn", "not applicable"), found.evidence


@pytest.mark.parametrize("seed", [0, 1])
def test_the_l2_ball_is_no_trap(seed, base, digits):
    """The quick checks hold in the other norm too."""
    found = diagnose_briefly(base, digits.examples, threat_model="L2:1/4", num_classes=10, seed=seed)
    assert failures(found) == {}


def test_images_are_examined_too(cifar10_dir):
    """The short form on CIFAR-10 with the robust model."""
    dataset = data.load("cifar10", data_dir=cifar10_dir)
    module = models.load("pgd-at", dataset=dataset).module
    found = diagnose_briefly(module, dataset.examples, threat_model=dataset.default_threat_model, num_classes=10)
    assert failures(found) == {}
