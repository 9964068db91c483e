"""Tests of the losses of raw logits against formulas written out in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.attacks.adaptive.joint import raw_targets
from bench.attacks.adaptive.pairs import (
    PairView,
    joint_margin,
    merged_cross_entropy,
    pair_weights,
    recovered,
    smooth_margin,
    targeted_joint_margin,
    with_dummies,
)
from bench.core.errors import BenchError

RAW = st.lists(st.floats(-20, 20, width=32), min_size=8, max_size=8)
LABEL = st.integers(0, 3)


def probabilities(raw):
    top = max(raw)
    shares = [math.exp(value - top) for value in raw]
    return [share / sum(shares) for share in shares]


TEMPERATURE = st.sampled_from([0.1, 0.3, 1.0])


def weights(raw, label, temperature):
    """A softmax of the pair over a share of the recovered margin, or all on the larger at a margin of 0."""
    best = [max(raw[k], raw[k + 4]) for k in range(4)]
    margin = best[label] - max(value for k, value in enumerate(best) if k != label)
    own, dummy = raw[label], raw[label + 4]
    if margin <= 0:
        return (0.5, 0.5) if own == dummy else (float(own > dummy), float(dummy > own))
    ratio = math.exp(-abs(own - dummy) / (temperature * margin))
    return (1 / (1 + ratio), ratio / (1 + ratio)) if own >= dummy else (ratio / (1 + ratio), 1 / (1 + ratio))


def computed(loss, raw, label, *more):
    others = (torch.tensor([value]) if isinstance(value, int) else value for value in (label, *more))
    return float(loss(torch.tensor([raw], dtype=torch.float64), *others))


@settings(deadline=None)
@given(raw=RAW, label=LABEL)
def test_merged_cross_entropy_is_that_of_the_pairs_probability(raw, label):
    """-log(p_y + p_{y+C}) of the softmax over all 2C."""
    shares = probabilities(raw)
    expected = -math.log(shares[label] + shares[label + 4])
    assert computed(merged_cross_entropy, raw, label) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(raw=RAW, label=LABEL)
def test_the_smooth_margin_is_a_ratio_of_pair_probabilities(raw, label):
    """The log of the strongest other pair's probability over the label's."""
    shares = probabilities(raw)
    merged = [shares[k] + shares[k + 4] for k in range(4)]
    expected = math.log(max(value for k, value in enumerate(merged) if k != label) / merged[label])
    assert computed(smooth_margin, raw, label) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(raw=RAW, label=LABEL, temperature=TEMPERATURE)
def test_the_joint_margin_weighs_class_and_dummy(raw, label, temperature):
    """The strongest other recovered logit less the weighted mean of the label's pair."""
    first, second = weights(raw, label, temperature)
    others = max(max(raw[k], raw[k + 4]) for k in range(4) if k != label)
    expected = others - (first * raw[label] + second * raw[label + 4])
    assert computed(joint_margin, raw, label, temperature) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(raw=RAW, label=LABEL, target=st.integers(0, 7), temperature=TEMPERATURE)
def test_the_targeted_form_goes_to_one_raw_logit(raw, label, target, temperature):
    """A class or a dummy alone, whichever of its pair is larger."""
    first, second = weights(raw, label, temperature)
    expected = raw[target] - (first * raw[label] + second * raw[label + 4])
    assert computed(targeted_joint_margin, raw, label, target, temperature) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(raw=RAW, label=LABEL, factor=st.sampled_from([1e-3, 1e3]))
def test_weights_know_no_scale(raw, label, factor):
    """Multiplying all logits by a constant leaves the weights; they sum to 1 and favour the larger."""
    tensor = torch.tensor([raw], dtype=torch.float64)
    found = pair_weights(tensor, torch.tensor([label]), 0.3)
    scaled = pair_weights(tensor * factor, torch.tensor([label]), 0.3)
    assert float(found.sum()) == pytest.approx(1)
    if min(abs(a - b) for i, a in enumerate(raw) for b in raw[:i]) > 1e-3:  # away from ties, which float noise decides
        torch.testing.assert_close(found, scaled, rtol=0, atol=1e-6)
        assert bool(found[0, 0] > found[0, 1]) == (raw[label] > raw[label + 4])


def test_both_members_are_pushed_down_far_from_the_boundary():
    """At a large margin the gradients of class and dummy are alike; at a small one only the winner's is left."""
    for others, smallest, largest in ((-100.0, 0.45, 0.5), (2.9, 0.0, 1e-6)):
        raw = torch.tensor([[3.0, others, 1.0, others]], dtype=torch.float64, requires_grad=True)
        joint_margin(raw, torch.tensor([0]), 1.0).sum().backward()
        assert smallest <= -float(raw.grad[0, 2]) <= largest
        assert float(raw.grad[0, [0, 2]].sum()) == pytest.approx(-1)


def test_the_merged_loss_has_a_gradient_in_the_weaker_member():
    """Where the maximum passes nothing, the smooth losses do."""
    for loss in (merged_cross_entropy, smooth_margin):
        raw = torch.tensor([[3.0, 0.0, 1.0, 0.0]], requires_grad=True)
        loss(raw, torch.tensor([0])).sum().backward()
        assert raw.grad[0, 2] < -0.005


def test_targets_are_the_strongest_classes_each_with_its_dummy():
    """Ordered by recovered logit, the label left out, class before dummy; as many as asked for."""
    raw = torch.tensor([[5.0, 1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0]])
    assert raw_targets(raw, torch.tensor([0]), 18).tolist() == [[2, 6, 3, 7, 1, 5]]
    assert raw_targets(raw, torch.tensor([0]), 3).tolist() == [[2, 6, 3]]


def test_the_view_decides_as_the_model_does(pairs, examples_of):
    """The recovered logits are the model's own, bit for bit."""
    inputs = examples_of(pairs).inputs
    view = PairView(classifier=pairs)
    assert torch.equal(view.decided(view.outputs(inputs, torch.arange(len(inputs)))), pairs(inputs))
    assert torch.equal(recovered(pairs.raw(inputs)), pairs(inputs))


def test_a_model_without_dummies_is_named(network):
    """One line that says what is missing."""
    with pytest.raises(BenchError, match="joint needs a model with dummy classes"):
        with_dummies(network, "joint")
