"""Losses against their formulas, computed in float64 with numpy, one example at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from bench.training.objectives.mart import Mart
from bench.training.objectives.objective import Batch
from bench.training.objectives.pgd_at import PgdAt
from bench.training.objectives.standard import Standard
from bench.training.objectives.trades import Trades
from bench.training.scales import FEW_STEPS


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def examples(model: nn.Sequential, batch: Batch):
    """Label, clean and adversarial probabilities of each example."""
    weight, bias = (parameter.detach().double().numpy() for parameter in model.parameters())
    for clean, adversarial, label in zip(batch.inputs, batch.adversarial, batch.labels, strict=True):
        vectors = (inputs.double().flatten().numpy() for inputs in (clean, adversarial))
        yield int(label), *(softmax(weight @ vector + bias) for vector in vectors)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True)))


def standard(label: int, p: np.ndarray, q: np.ndarray) -> float:
    return -np.log(p[label])


def pgd_at(label: int, p: np.ndarray, q: np.ndarray) -> float:
    return -np.log(q[label])


def trades(label: int, p: np.ndarray, q: np.ndarray) -> float:
    return -np.log(p[label]) + 6 * divergence(p, q)


def mart(label: int, p: np.ndarray, q: np.ndarray) -> float:
    boosted = -np.log(q[label]) - np.log(1.0001 - max(q[k] for k in range(len(q)) if k != label))
    return boosted + 5 * divergence(p, q) * (1.0000001 - p[label])


@pytest.mark.parametrize(
    ("objective", "formula"),
    [
        (Standard(), standard),
        (PgdAt(attack=FEW_STEPS), pgd_at),
        (Trades(attack=FEW_STEPS), trades),
        (Mart(attack=FEW_STEPS), mart),
    ],
)
def test_loss_is_the_formula(objective, formula, linear, batch, make_context):
    """The loss of a batch is the mean of the published formula over its examples."""
    expected = np.mean([formula(*example) for example in examples(linear, batch)])
    assert objective.loss(linear, batch, make_context()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("plain", "of"),
    [
        (Standard(), 1),
        (PgdAt(attack=FEW_STEPS), 2),
        (Trades(attack=FEW_STEPS), 1),
        (Mart(attack=FEW_STEPS), 2),
    ],
)
def test_label_smoothing_spreads_a_share_of_the_target(plain, of, linear, batch, make_context):
    """Smoothing by s replaces -log p_y of the cross-entropy by (1 - s) (-log p_y) + s mean_k (-log p_k) alone."""
    smooth = dataclasses.replace(plain, label_smoothing=0.3)
    difference = smooth.loss(linear, batch, make_context()) - plain.loss(linear, batch, make_context())
    each = ((example[0], example[of]) for example in examples(linear, batch))
    expected = np.mean([0.3 * (np.log(p[label]) - np.log(p).mean()) for label, p in each])
    assert difference.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("objective", "formula"), [(Trades(attack=FEW_STEPS), trades), (Mart(attack=FEW_STEPS), mart)])
def test_gradient_flows_through_clean_and_adversarial_predictions(objective, formula, linear, batch, make_context):
    """The gradient is that of the whole formula, the clean prediction included: it agrees with finite differences."""
    objective.loss(linear, batch, make_context()).backward()
    bias = linear[1].bias
    for position in range(len(bias)):
        values = []
        for shift in (1e-3, -1e-3):
            with torch.no_grad():
                bias[position] += shift
                values.append(np.mean([formula(*example) for example in examples(linear, batch)]))
                bias[position] -= shift
        assert bias.grad[position].item() == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-2, abs=1e-4)


def test_mart_weighs_a_surely_right_example_with_almost_nothing(make_context):
    """MART's divergence counts with one less the clean probability of the label."""
    logits = torch.tensor([[30.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 0])
    objective = Mart(attack=FEW_STEPS, beta=1.0)
    flat = torch.zeros(2, 2)
    sure, unsure = (
        objective.regularizer(logits[i : i + 1], flat[:1], labels[:1])
        - objective.regularizer(flat[:1], flat[:1], labels[:1])
        for i in (0, 1)
    )
    assert abs(sure.item()) < 1e-5
    assert unsure.item() == 0.0
    half = objective.regularizer(torch.tensor([[0.0, 30.0]]), flat[:1], labels[:1])
    assert half.item() == pytest.approx(float(np.log(2) - np.log(0.5001)), rel=1e-4)
