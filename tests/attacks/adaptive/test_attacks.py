"""Tests of the adaptive attacks: they find what naive ones miss, stay in the ball, and no verdict hangs on a batch."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch

from bench import attacks
from bench.attacks.adaptive import FrozenRoute, Joint, JointTargeted, Merged, SteeredRoute
from bench.attacks.adaptive.naive import NaivePgd, OnRawLogits
from bench.attacks.adaptive.routes import log_types
from bench.attacks.adaptive.steered_route import steering
from bench.attacks.pgd import PGD
from bench.attacks.search.ball import Ball
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.ops import norms
from bench.ops.losses import margin

THREATS = [ThreatModel.parse("Linf:1/20"), ThreatModel.parse("L2:0.3")]
ON_PAIRS = [Merged(steps=20), Merged(name="m", objective="margin", steps=20), Joint(steps=20), JointTargeted(steps=10)]
ROUTES = ("clean-image", "adversarial-image", "all-clean", "all-adversarial", "static-clean", "static-adversarial")
ON_ROUTES = [*(FrozenRoute(name=route, route=route, steps=20) for route in ROUTES), SteeredRoute(steps=5)]


@pytest.fixture
def subject(pairs, routed):
    """The model that an attack is for."""
    return lambda attack: pairs if attack in ON_PAIRS else routed


@pytest.mark.parametrize("threat_model", THREATS, ids=str)
@pytest.mark.parametrize("attack", [*ON_PAIRS, *ON_ROUTES], ids=lambda attack: attack.name)
def test_points_are_in_the_ball_and_break_something(attack, subject, examples_of, threat_model):
    """Float32, in the box and the ball, no worse than the clean input, and some of them misclassified."""
    model = subject(attack)
    examples = examples_of(model)
    points = attack.perturb(model, examples, threat_model, seed=0)
    assert points.dtype == torch.float32 and not points.requires_grad
    assert points.min() >= 0 and points.max() <= 1
    assert (norms.size(points - examples.inputs, threat_model.norm) <= float(threat_model.epsilon) * (1 + 1e-5)).all()
    after, before = (margin(model(inputs), examples.labels) for inputs in (points, examples.inputs))
    assert (after <= before).all()
    assert (after < 0).any()


@pytest.mark.parametrize("attack", [*ON_PAIRS, *ON_ROUTES], ids=lambda attack: attack.name)
def test_verdicts_do_not_depend_on_the_batch(attack, subject, examples_of, threat_model):
    """In sevens and shuffled: the same verdicts, and the same points but for rounding; another seed gives others."""
    model = subject(attack)
    examples = examples_of(model)
    together = attack.perturb(model, examples, threat_model, seed=0)
    parts = torch.cat([attack.perturb(model, part, threat_model, seed=0) for part in examples.split(7)])
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    shuffled = attack.perturb(model, examples[order], threat_model, seed=0)
    for other, expected in ((parts, together), (shuffled, together[order])):
        labels = examples.labels if other is parts else examples.labels[order]
        assert torch.equal(model(other).argmax(1) == labels, model(expected).argmax(1) == labels)
    assert (parts - together).abs().flatten(1).amax(1).gt(1e-5).sum() <= 1
    assert not torch.equal(attack.perturb(model, examples, threat_model, seed=1), together)


@pytest.mark.parametrize("name", ["adaptive-pairs", "adaptive-routes", "merged", "joint", "frozen-route", "steered"])
def test_a_plain_model_is_refused_by_name(network, examples_of, threat_model, name):
    """An attack on a structure says that the model has none."""
    with pytest.raises(BenchError, match="needs a model with"):
        attacks.get(name).perturb(network, examples_of(network, 2), threat_model, seed=0)


def test_the_dummy_swallows_naive_attacks_but_not_the_joint_one(decoy, threat_model):
    """On the decoy, naive attacks end in the class's own dummy, and every example falls to the joint attack."""
    examples = Examples(
        inputs=torch.full((8, 1, 6, 6), 0.5), labels=torch.zeros(8, dtype=torch.int64), indices=torch.arange(8)
    )
    for naive in (NaivePgd(), OnRawLogits()):
        moved = naive.perturb(decoy, examples, threat_model, seed=0)
        assert (decoy.raw(moved).argmax(1) == 2).all()
        assert (decoy(moved).argmax(1) == 0).all()
    for attack in (Joint(steps=20), JointTargeted(steps=20)):
        assert (decoy(attack.perturb(decoy, examples, threat_model, seed=0)).argmax(1) == 1).all()


def test_a_hidden_gradient_is_found_on_the_frozen_route(gated, examples_of, threat_model):
    """The gate leaves PGD without a gradient; what the clean route gives away fools the gated model too."""
    examples = examples_of(gated)
    blind = PGD(steps=20).perturb(gated, examples, threat_model, seed=0)
    frozen = FrozenRoute(route="clean-image", steps=20).perturb(gated, examples, threat_model, seed=0)
    kept = [int((gated(points).argmax(1) == examples.labels).sum()) for points in (blind, frozen)]
    assert kept[1] < kept[0] / 2


def test_each_frozen_route_is_another_network(routed, examples_of):
    """What is climbed under each route is that route's static network: other networks give other points."""
    examples, narrow = examples_of(routed, 8), ThreatModel.parse("Linf:1/500")  # nothing breaks, so nothing stops early
    points = [
        FrozenRoute(name="one", route=route, steps=3).perturb(routed, examples, narrow, seed=0) for route in ROUTES
    ]
    for number, first in enumerate(points):
        assert not any(torch.equal(first, second) for second in points[:number])


def test_steering_turns_the_predicted_type(routed, examples_of):
    """Towards clean with a weight above 0, towards adversarial below, on every example: gradients reach the router."""
    examples = examples_of(routed)
    inputs = examples.inputs.clone().requires_grad_()
    for weight, branch in ((100.0, 0), (-100.0, 1)):
        route = routed.route(inputs)
        outputs = torch.cat((routed.routed(inputs, route), log_types(route, inputs)), dim=1)
        loss = steering(outputs, examples.labels, torch.full((len(inputs),), weight)).sum()
        (slope,) = torch.autograd.grad(loss, inputs)
        with torch.no_grad():
            moved = routed.route((examples.inputs + 1e-3 * slope.sign()).clamp(0, 1)).mix[:, branch]
        assert (moved > routed.route(examples.inputs).mix[:, branch]).all()


def test_the_steering_loss_is_margin_plus_weighted_log_probability():
    """Worked out by hand: logits (1, 3), types (0.2, 0.8), label 1."""
    outputs = torch.cat((torch.tensor([[1.0, 3.0]]), torch.tensor([[0.2, 0.8]]).log()), dim=1).double()
    found = steering(outputs.expand(3, -1), torch.ones(3, dtype=torch.int64), torch.tensor([0.5, -0.5, 0.0]))
    assert found.tolist() == pytest.approx([-2 - 0.5 * 1.6094379, -2 - 0.5 * 0.2231436, -2], abs=1e-6)


def test_gradients_reach_the_router(routed, examples_of, threat_model):
    """An end-to-end attack differentiates the route too: with the router's gradient cut, it takes other steps."""

    class Cut(torch.nn.Module):
        def forward(self, inputs):
            return routed(inputs)

        def route(self, inputs):
            with torch.no_grad():
                return routed.route(inputs)

        def routed(self, inputs, route):
            return routed.routed(inputs, route)

    examples = examples_of(routed, 8)
    attack = SteeredRoute(weights=(Fraction(0),), steps=3)
    whole, cut = (attack.perturb(model, examples, threat_model, seed=0) for model in (routed, Cut()))
    assert not torch.equal(whole, cut)


def test_a_broken_example_takes_no_further_step(pairs, examples_of, threat_model, monkeypatch):
    """An example leaves at its first break, so that only survivors cost anything."""
    sizes = []
    raw = pairs.raw
    monkeypatch.setattr(type(pairs), "raw", lambda self, inputs: sizes.append(len(inputs)) or raw(inputs))
    examples = examples_of(pairs)
    left = Joint(steps=30).perturb(pairs, examples, threat_model, seed=0)
    n_robust = int((pairs.backbone(left).unflatten(1, (2, -1)).amax(1).argmax(1) == examples.labels).sum())
    assert sizes == sorted(sizes, reverse=True)
    assert len(examples) == sizes[0] > sizes[-1] >= n_robust


def test_restarts_targets_and_attacks_draw_apart(pairs, examples_of, monkeypatch):
    """Every run of every attack starts at points of its own, and the same run at the same ones."""
    narrow = ThreatModel.parse("Linf:1/500")  # nothing breaks, so no run is spared
    drawn = []
    noise = Ball.surface_noise
    monkeypatch.setattr(Ball, "surface_noise", lambda *arguments: drawn.append(noise(*arguments)) or drawn[-1])
    for name in ("a", "b"):
        for _ in range(2):
            JointTargeted(name=name, steps=1, targets=2, restarts=2).perturb(
                pairs, examples_of(pairs, 4), narrow, seed=0
            )
    assert len(drawn) == 16
    for first, again in ((0, 4), (8, 12)):
        assert all(torch.equal(drawn[first + run], drawn[again + run]) for run in range(4))
    apart = [*drawn[:4], *drawn[8:12]]
    assert all(not torch.equal(one, other) for number, one in enumerate(apart) for other in apart[:number])


@pytest.mark.parametrize("bad", [lambda: Merged(objective="dlr"), lambda: FrozenRoute(route="nowhere")])
def test_unknown_choices_are_refused(bad):
    """A misspelt parameter is an error at once, not another attack."""
    with pytest.raises(ValueError, match="Expected"):
        bad()


def test_ensembles_hold_the_documented_stages():
    """The stages of a row, in their order, and the long ones last."""
    names = [stage.name for stage in attacks.get("adaptive-pairs").stages]
    assert names == ["merged", "merged-margin", "joint", "joint-t", "joint-1000"]
    stages = attacks.get("adaptive-routes").stages
    assert [getattr(stage, "route", None) for stage in stages] == [*ROUTES, None, None]
    assert stages[-2].weights[:6] == tuple(-weight for weight in stages[-2].weights[6:])
    assert all(dataclasses.is_dataclass(stage) for stage in stages)
