"""Tests of the projection onto a threat model."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.optimize import minimize

from bench.core.types import Norm, ThreatModel
from bench.ops import norms
from bench.ops.projections import onto_l1, project

THREATS = ["Linf:8/255", "Linf:1/2", "L2:0.5", "L2:3", "L1:0.5", "L1:12"]


@pytest.mark.parametrize("threat", THREATS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0, 10))
def test_a_projection_is_allowed_and_final(threat, seed, scale):
    """What is projected lies in ball and box, and projecting again changes nothing beyond rounding."""
    threat_model = ThreatModel.parse(threat)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand((4, 3, 6, 6), generator=generator, dtype=torch.float64)
    moved = inputs + scale * torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
    found = project(moved, inputs, threat_model)
    assert (norms.size(found - inputs, threat_model.norm) <= float(threat_model.epsilon) * (1 + 1e-12)).all()
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(project(found, inputs, threat_model), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("threat", THREATS)
def test_what_is_allowed_stays(threat):
    """A point inside ball and box is left where it is."""
    threat_model = ThreatModel.parse(threat)
    inputs = torch.full((1, 1, 2, 2), 0.5)
    moved = inputs + float(threat_model.epsilon) * torch.tensor([[[[0.4, -0.4], [0.1, 0.0]]]])
    torch.testing.assert_close(project(moved, inputs, threat_model), moved.clamp(0, 1))


def test_the_l2_projection_keeps_the_direction():
    """A point outside an L2 ball is scaled back along its own direction."""
    inputs = torch.full((1, 1, 1, 2), 0.5)
    moved = inputs + torch.tensor([[[[3.0, 4.0]]]])
    found = project(moved, inputs, ThreatModel.parse("L2:0.25"))
    torch.testing.assert_close(found - inputs, torch.tensor([[[[0.15, 0.2]]]]))


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_l1_projection_is_the_nearest_point(epsilon, seed):
    """As a solver finds it, in ball and box together: pixels at the edge of the box leave their share to others."""
    generator = np.random.default_rng(seed)
    inputs = generator.choice([0.0, 0.05, 0.5, 1.0], 8)
    moved = inputs + generator.normal(scale=0.7, size=8)
    # Ups and downs as variables of their own make the norm linear.
    solved = minimize(
        lambda parts: ((inputs + parts[:8] - parts[8:] - moved) ** 2).sum(),
        np.zeros(16),
        jac=lambda parts: _slope(inputs + parts[:8] - parts[8:] - moved),
        bounds=[*((0, 1 - pixel) for pixel in inputs), *((0, pixel) for pixel in inputs)],
        constraints={"type": "ineq", "fun": lambda parts: epsilon - parts.sum(), "jac": lambda parts: -np.ones(16)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    nearest = inputs + solved.x[:8] - solved.x[8:]
    found = onto_l1(torch.tensor(moved)[None], torch.tensor(inputs)[None], epsilon)[0].numpy()
    assert np.abs(found - inputs).sum() <= epsilon + 1e-12
    np.testing.assert_allclose(found, nearest, atol=1e-5)


def _slope(apart):
    return np.concatenate([2 * apart, -2 * apart])


def test_an_l1_direction_moves_the_largest_twentieth():
    """Together by 1, each by the same; a pixel without a gradient stays."""
    gradient = torch.arange(-20.0, 20.0)[None]
    found = norms.direction(gradient, Norm.L1)
    assert found[0].nonzero().flatten().tolist() == [0, 1] and found[0, :2].tolist() == [-0.5, -0.5]
    assert norms.direction(torch.zeros(1, 40), Norm.L1).abs().sum() == 0
    assert norms.dual(gradient, Norm.L1).item() == 20


def test_directions_have_unit_norm():
    """The steepest ascent direction has norm 1, and a zero gradient gives none."""
    gradient = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert norms.direction(gradient, Norm.LINF).tolist() == [[1, -1], [0, 0]]
    torch.testing.assert_close(norms.direction(gradient, Norm.L2), torch.tensor([[0.6, -0.8], [0.0, 0.0]]))
