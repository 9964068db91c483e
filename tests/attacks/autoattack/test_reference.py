"""The reference engine against the package that it runs."""

from __future__ import annotations

import pytest
import torch
from pyautoattack import AutoAttack as Package
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from torch import nn

from bench.attacks.autoattack import ApgdCe, ApgdT, AutoAttack, FabT, Square
from bench.core.types import Examples, ThreatModel

CASES = [("Linf:1/50", "Linf", 0), ("Linf:1/50", "Linf", 5), ("L2:0.1", "L2", 0), ("L1:0.4", "L1", 0)]


@pytest.mark.parametrize(("threat", "norm", "seed"), CASES)
def test_autoattack_equals_the_package(network, examples_of, threat, norm, seed):
    """The same chunk and seed give the same verdicts and the same points as calling the package directly."""
    examples, threat_model = examples_of(network, 64), ThreatModel.parse(threat)
    network.eval()
    package = Package(network, norm=norm, eps=float(threat_model.epsilon), seed=seed, version="standard")
    package.fab.n_target_classes = package.apgd_targeted.n_target_classes = 4
    package.square.n_queries = 500
    expected, _ = package.run_standard_evaluation(examples.inputs, examples.labels, batch_size=64)
    stages = (*AutoAttack().stages[:3], Square(queries=500))
    found = AutoAttack(stages=stages).perturb(network, examples, threat_model, seed=seed)
    theirs, ours = (network(moved).argmax(1) != examples.labels for moved in (expected, found))
    assert 0 < theirs.sum() < 64
    assert torch.equal(theirs, ours)
    torch.testing.assert_close(found[ours], expected[ours])


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_few_classes_are_no_error(classes):
    """With two to four classes every stage runs, and targeted APGD breaks what one step towards the boundary breaks."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, classes)).requires_grad_(False)
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    inputs = 0.4 + 0.2 * torch.rand((32, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    examples = Examples(inputs=inputs, labels=model(inputs).argmax(1), indices=torch.arange(32))
    for stage in (ApgdT(steps=20), FabT(steps=20), Square(queries=200)):
        moved = stage.perturb(model, examples, ThreatModel.parse("Linf:1/4"), seed=0)
        assert (model(moved).argmax(1) != examples.labels).float().mean() > 0.9


def test_two_classes_with_large_logits_are_broken():
    """Below four classes targeted APGD does not saturate: logits times 10,000, where cross-entropy has no gradient."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).requires_grad_(False)
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    inputs = 0.4 + 0.2 * torch.rand((32, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    examples = Examples(inputs=inputs, labels=model(inputs).argmax(1), indices=torch.arange(32))
    moved = ApgdT(steps=20).perturb(lambda x: 1e4 * model(x), examples, ThreatModel.parse("Linf:1/4"), seed=0)
    assert (model(moved).argmax(1) != examples.labels).all()


def test_warnings_of_the_package_are_not_printed(capsys, network, examples_of):
    """A model without gradients makes the package warn; nothing reaches the terminal."""
    flat = nn.Sequential(nn.Flatten(), nn.Linear(36, 5).requires_grad_(False))
    flat[1].weight.zero_()
    ApgdT(steps=3).perturb(flat, examples_of(network, 4), ThreatModel.parse("Linf:1/50"), seed=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("threat", "norm"), [("Linf:1/50", "Linf"), ("L2:0.1", "L2"), ("L1:0.4", "L1")])
@pytest.mark.parametrize(("stage", "theirs"), [(ApgdCe(steps=30), APGDAttack), (ApgdT(steps=30), APGDAttack_targeted)])
def test_other_numbers_of_steps_are_the_packages_own(network, examples_of, threat, norm, stage, theirs):
    """Its checkpoints and, in L1, its phases follow the number of steps that it is made with."""
    examples, threat_model = examples_of(network, 16), ThreatModel.parse(threat)
    in_l1 = {"use_largereps": True, "n_restarts": 5 if theirs is APGDAttack else 1} if norm == "L1" else {}
    package = theirs(network.eval(), n_iter=30, norm=norm, eps=float(threat_model.epsilon), device="cpu", **in_l1)
    if theirs is APGDAttack_targeted:
        package.n_target_classes = 4
    with torch.no_grad():
        expected = package.perturb(examples.inputs.clone(), examples.labels.clone())
    assert torch.equal(stage.perturb(network, examples, threat_model, seed=0), expected)
