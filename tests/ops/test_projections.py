"""Tests of the projection onto a threat model."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from bench.core.types import Norm, ThreatModel
from bench.ops import norms
from bench.ops.projections import project

THREATS = ["Linf:8/255", "Linf:1/2", "L2:0.5", "L2:3"]


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


def test_directions_have_unit_norm():
    """The steepest ascent direction has norm 1, and a zero gradient gives none."""
    gradient = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert norms.direction(gradient, Norm.LINF).tolist() == [[1, -1], [0, 0]]
    torch.testing.assert_close(norms.direction(gradient, Norm.L2), torch.tensor([[0.6, -0.8], [0.0, 0.0]]))
