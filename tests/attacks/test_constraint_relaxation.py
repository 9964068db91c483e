"""Constraint relaxation: what it promises beside what every attack does."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench import attacks
from bench.attacks.adaptive import RelaxedPairs, RelaxedSteering
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.evaluation.counting import CountingClassifier

THREAT = ThreatModel.parse("Linf:1/100")
ATTACK = attacks.get("constraint-relaxation")


def scaled(network, factor):
    last = nn.Linear(network[-1].in_features, network[-1].out_features)
    last.weight.data, last.bias.data = factor * network[-1].weight, factor * network[-1].bias
    return nn.Sequential(*list(network)[:-1], last).requires_grad_(False).eval()


def outcome(attack, model, examples, threat_model=THREAT):
    """Verdicts, margins and passes."""
    counting = CountingClassifier(model)
    points = attack.perturb(counting, examples, threat_model, seed=0)
    logits = model(points)
    return logits.argmax(1) == examples.labels, points, counting.passes


@pytest.mark.parametrize("factor", [100.0, 0.01, 2.0**20, 2.0**-20])
@pytest.mark.parametrize("threat", ["Linf:1/100", "L2:0.15"])
def test_a_factor_on_the_logits_changes_nothing(network, examples_of, factor, threat):
    """Neither verdicts nor passes follow the scale of the logits."""
    examples, threat_model = examples_of(network, 48), ThreatModel.parse(threat)
    robust, _, passes = outcome(ATTACK, network, examples, threat_model)
    assert 0 < robust.sum() < len(examples)
    again, _, others = outcome(ATTACK, scaled(network, factor), examples, threat_model)
    assert torch.equal(again, robust)
    assert others == passes


def test_batch_and_order_change_no_verdict(network, examples_of):
    """An example alone, in another order or among fewer meets the same attack."""
    examples = examples_of(network, 24)
    robust, points, _ = outcome(ATTACK, network, examples)
    order = torch.arange(len(examples) - 1, -1, -1)
    backwards, turned, _ = outcome(ATTACK, network, examples[order])
    assert torch.equal(backwards[order], robust)
    torch.testing.assert_close(turned[order], points, atol=1e-6, rtol=0)
    for row in range(0, len(examples), 5):
        alone, point, _ = outcome(ATTACK, network, examples[row : row + 1])
        assert alone == robust[row]
        torch.testing.assert_close(point[0], points[row], atol=1e-6, rtol=0)


def test_hopeless_targets_are_given_up(network, examples_of):
    """Far from every boundary a target costs one phase of one cycle; two where only the second gives up, else all."""
    examples = examples_of(network, 32)
    near = ThreatModel.parse("Linf:1/2000")
    robust, _, passes = outcome(ATTACK, network, examples, near)
    n_robust = int(robust.sum())
    assert n_robust > 16
    never = Fraction(10**9)
    _, _, later = outcome(dataclasses.replace(ATTACK, give_up_outside=never), network, examples, near)
    stubborn = dataclasses.replace(ATTACK, give_up_outside=never, give_up=never)
    _, _, all_cycles = outcome(stubborn, network, examples, near)
    n_targets = min(ATTACK.targets, network[-1].out_features - 1)
    a_phase, two = ATTACK.outside_steps, ATTACK.outside_steps + ATTACK.steps // 2
    assert passes.backwards < len(examples) * (ATTACK.first_steps + 2 * n_targets * a_phase)
    assert passes.backwards < later.backwards >= n_robust * n_targets * two
    a_cycle = ATTACK.outside_steps + ATTACK.steps
    assert all_cycles.backwards >= n_robust * n_targets * ATTACK.cycles * a_cycle


def test_what_was_close_gets_more_rounds(network, examples_of):
    """More rounds break no less, and are spent on what came close alone."""
    examples = examples_of(network, 64)
    once, _, few = outcome(dataclasses.replace(ATTACK, rounds=0), network, examples)
    robust, _, more = outcome(ATTACK, network, examples)
    assert not (robust & ~once).any()
    assert few.backwards <= more.backwards
    never, _, none = outcome(dataclasses.replace(ATTACK, retry=Fraction(-1)), network, examples)
    assert torch.equal(never, once)
    assert none == few


def test_without_a_gradient_it_ends_soon(examples_of, network):
    """A model through which no gradient flows costs two phases a target."""

    class Hidden(nn.Module):
        def forward(self, inputs):
            return network(inputs.detach())

    examples = examples_of(network, 8)
    robust, _, passes = outcome(ATTACK, Hidden(), examples)
    two_phases = ATTACK.outside_steps + ATTACK.steps // 2
    assert passes.backwards <= len(examples) * (ATTACK.first_steps + ATTACK.targets * two_phases)
    assert robust.any()


def test_the_class_that_is_reached_may_be_the_last_by_its_logit(examples_of):
    """Of ten classes eight lie closer and follow the true one; four targets miss the ninth, which can be reached."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 10)).requires_grad_(False).eval()
    model[1].weight.zero_()
    model[1].weight[9] = 1
    model[1].bias.copy_(-torch.arange(10) / 100)
    model[1].bias[9] = -18.3  # the mean of 36 pixels at 1/2 is 18
    examples = examples_of(model, 8)
    examples = dataclasses.replace(examples, inputs=torch.full_like(examples.inputs, 0.5), labels=torch.zeros(8).long())
    robust, _, _ = outcome(ATTACK, model, examples)
    assert not robust.any()
    fewer, _, _ = outcome(dataclasses.replace(ATTACK, targets=4), model, examples)
    assert fewer.all()


@pytest.mark.parametrize("classes", [2, 3, 120])
def test_any_number_of_classes(examples_of, classes):
    """From two classes on, targets are at most the wrong ones."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, classes)).requires_grad_(False)
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    robust, points, _ = outcome(dataclasses.replace(ATTACK, targets=200), model, examples_of(model, 16))
    assert points.shape == (16, 1, 6, 6)
    assert not robust.all()


@pytest.mark.parametrize("attack", [RelaxedPairs(), RelaxedSteering()])
def test_a_structure_is_asked_for(network, examples_of, attack):
    """A model that declares none is refused in one line that names the attack."""
    with pytest.raises(BenchError, match=attack.name):
        attack.perturb(network, examples_of(network, 2), THREAT, seed=0)
