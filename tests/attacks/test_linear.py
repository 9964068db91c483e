"""Every attack against a linear classifier, whose robust examples are known in closed form.

For logits Wx + b the margin to class k falls by at most epsilon * ||w_y - w_k||_* in the ball, with the dual norm (L1
for Linf, L2 for L2), so an example is robust exactly if every margin is larger than that.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bench import attacks
from bench.core.structure import Route
from bench.core.types import Norm, ThreatModel

THREATS = ["Linf:1/100", "Linf:1/50", "L2:0.05", "L2:0.1"]
TARGETED = ["apgd-t", "constraint-relaxation", "fab-t"]
MINIMUM_NORM = {"carlini-wagner-l2"}  # searches beyond any fixed radius; see its own file


class Structured(torch.nn.Module):
    """The linear model under every declaration: dummies that never win, and a route that changes nothing."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, inputs):
        return self.linear(inputs)

    def raw(self, inputs):
        logits = self.linear(inputs)
        return torch.cat((logits, logits - 1), dim=1)

    def route(self, inputs):
        lean = inputs.mean(dim=(1, 2, 3))
        return Route(signals=(inputs.new_ones(len(inputs), 2),), mix=torch.stack((lean, 1 - lean), dim=1))

    def routed(self, inputs, route):
        return self.linear(inputs)


def exactly_robust(linear, examples, threat_model):
    weight, logits = linear[1].weight, linear(examples.inputs)
    own = examples.labels
    dual = {Norm.LINF: 1, Norm.L2: 2, Norm.L1: torch.inf}[threat_model.norm]
    reach = float(threat_model.epsilon) * torch.linalg.vector_norm(weight[own][:, None] - weight[None], ord=dual, dim=2)
    gaps = logits.gather(1, own[:, None]) - logits
    return ((gaps > reach) | torch.nn.functional.one_hot(own, logits.shape[1]).bool()).all(1)


def still_robust(model, examples, attack, threat_model):
    moved = attack.perturb(model, examples, threat_model, seed=0)
    return model(moved).argmax(1) == examples.labels


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize("name", TARGETED)
def test_targeted_attacks_reach_the_exact_answer(linear, examples_of, name, threat):
    """An attack that tries every class finds every break that exists in a linear model, and none that does not."""
    threat_model, examples = ThreatModel.parse(threat), examples_of(linear)
    exact = exactly_robust(linear, examples, threat_model)
    assert 0 < exact.sum() < len(examples)
    found = still_robust(linear, examples, attacks.get(name), threat_model)
    if name == "fab-t":  # FAB stops at the boundary, so it may miss those on it by a rounding error
        assert (found != exact).sum() <= 1
    else:
        assert torch.equal(found, exact)


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize("name", sorted({*attacks.names()} - MINIMUM_NORM))
def test_no_attack_breaks_what_is_robust(linear, examples_of, name, threat):
    """No attack leaves the ball: what is robust in closed form stays robust."""
    threat_model, examples, attack = ThreatModel.parse(threat), examples_of(linear), attacks.get(name)
    exact = exactly_robust(linear, examples, threat_model)
    assert still_robust(Structured(linear), examples, attack, threat_model)[exact].all()


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize("name", ["fgsm", "pgd-100", "cw", "apgd-ce", "constraint-relaxation"])
def test_with_two_classes_every_gradient_attack_is_exact(examples_of, name, threat):
    """With two classes and a linear model there is one direction, and every gradient attack takes it to the end."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2)).requires_grad_(False)
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    threat_model, examples = ThreatModel.parse(threat), examples_of(model)
    exact = exactly_robust(model, examples, threat_model)
    assert 0 < exact.sum() < len(examples)
    assert torch.equal(still_robust(model, examples, attacks.get(name), threat_model), exact)


@pytest.mark.parametrize("epsilon", ["L1:0.05", "L1:0.1"])
def test_in_l1_pgd_is_exact_with_two_classes_where_the_box_is_far(examples_of, epsilon):
    """The dual norm is the largest weight; no example that is robust by it is broken, and all others are."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2)).requires_grad_(False)
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    threat_model, examples = ThreatModel.parse(epsilon), examples_of(model)
    examples = dataclasses.replace(examples, inputs=0.4 + 0.2 * examples.inputs)
    examples = dataclasses.replace(examples, labels=model(examples.inputs).argmax(1))
    exact = exactly_robust(model, examples, threat_model)
    assert 0 < exact.sum() < len(examples)
    pgd = attacks.get("pgd-100")
    found = still_robust(model, examples, pgd, threat_model)
    assert found[exact].all()
    # Steps move the two largest weights of 36, which is a little less than the largest alone.
    slack = ThreatModel(norm=threat_model.norm, epsilon=threat_model.epsilon * 8 / 10)
    assert not found[~exactly_robust(model, examples, slack)].any()
