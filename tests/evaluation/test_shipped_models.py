"""The harness on the checkpoints that ship: batches change nothing; the reference engine is its authors' package."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pyautoattack import AutoAttack as Package

from bench import attacks, data, models
from bench.attacks.autoattack import ApgdCe, ApgdT, AutoAttack, FabT, Square
from bench.evaluation import evaluate
from bench.suites import AttackSuite

SHIPPED = ["pgd-at", "aw-net"]
KEYED = AttackSuite(
    name="keyed",
    version=1,
    attacks=(attacks.get("fgsm"), attacks.get("pgd-20"), dataclasses.replace(attacks.get("cw"), steps=10)),
)
STEPS, QUERIES = 10, 200


def verdicts(model, examples, dataset, batch_size):
    found = evaluate(
        model.module, examples, threat_model=dataset.default_threat_model, suite=KEYED, batch_size=batch_size
    )
    return torch.tensor([found.clean, *(attack.robust for attack in found.attacks)])


@pytest.mark.parametrize("name", SHIPPED)
def test_verdicts_do_not_depend_on_the_batch(name):
    """In batches of 64 or all at once, alone or in sevens: at most one verdict flips, by rounding."""
    dataset = data.load("digits")
    model = models.load(name, dataset=dataset)
    examples = dataset.examples[:128]
    together = verdicts(model, examples, dataset, len(examples))
    assert (verdicts(model, examples, dataset, 64) != together).sum() <= 1
    for size, count in ((1, 7), (7, 28)):
        parts = [verdicts(model, part, dataset, 64) for part in examples[:count].split(size)]
        assert (torch.cat(parts, dim=1) != together[:, :count]).sum() <= 1


def test_verdicts_on_images_do_not_depend_on_the_batch(cifar10_dir):
    """The same on CIFAR-10 with the robust model: sevens give the verdicts of all together."""
    dataset = data.load("cifar10", data_dir=cifar10_dir)
    model = models.load("pgd-at", dataset=dataset)
    examples = dataset.examples[:14]
    parts = [verdicts(model, part, dataset, 64) for part in examples.split(7)]
    assert (torch.cat(parts, dim=1) != verdicts(model, examples, dataset, 64)).sum() <= 1


def test_the_reference_engine_equals_the_package():
    """AutoAttack through the harness gives the package's verdicts on the same chunk and seed, at 9 targets."""
    dataset = data.load("digits")
    model = models.load("pgd-at", dataset=dataset)
    examples = dataset.examples[:16]
    package = Package(
        model.module, norm="Linf", eps=float(dataset.default_threat_model.epsilon), seed=3, version="standard"
    )
    package.apgd.n_iter = package.apgd_targeted.n_iter = package.fab.n_iter = STEPS
    package.square.n_queries = QUERIES
    moved, _ = package.run_standard_evaluation(examples.inputs, examples.labels, batch_size=64)
    expected = model.module(moved).argmax(1) == examples.labels
    stages = ApgdCe(steps=STEPS), ApgdT(steps=STEPS), FabT(steps=STEPS), Square(queries=QUERIES)
    suite = AttackSuite(name="package", version=1, attacks=(AutoAttack(stages=stages),))
    found = evaluate(model.module, examples, threat_model=dataset.default_threat_model, suite=suite, seed=3)
    assert 0 < int(expected.sum()) < len(examples)
    assert torch.tensor(found.robust).equal(expected)
