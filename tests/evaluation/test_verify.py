"""Nothing that an attack says is believed."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.core.types import Examples, Norm, ThreatModel
from bench.evaluation.verify import inside, judge, pull_back
from bench.ops import norms


def _inputs(seed: int = 0, count: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_a_saturated_float32_perturbation_is_accepted() -> None:
    """`x + 8/255` in float32 may lie a rounding error outside the real ball; that is no violation."""
    inputs, threat_model = _inputs() * 0.9, ThreatModel.parse("Linf:8/255")
    points = inputs + torch.tensor(8 / 255)
    assert float((points.double() - inputs.double()).abs().max()) > 8 / 255
    assert inside(points, inputs, threat_model).all()


@pytest.mark.parametrize("text", ["Linf:8/255", "L2:0.5", "L1:0.5"])
def test_a_point_epsilon_and_a_ten_thousandth_away_is_outside(text: str) -> None:
    """1e-4 is far more than rounding, in any norm."""
    threat_model = ThreatModel.parse(text)
    inputs = _inputs() * 0.5
    direction = torch.zeros_like(inputs)
    direction[:, 0, 0, 0] = 1
    epsilon = float(threat_model.epsilon)
    assert inside(inputs + epsilon * direction, inputs, threat_model).all()
    assert not inside(inputs + (epsilon + 1e-4) * direction, inputs, threat_model).any()


@pytest.mark.parametrize("value", [-1e-7, 1 + 2e-7])
def test_the_box_is_exact(value: float) -> None:
    """A pixel below 0 or above 1 is outside, however little."""
    inputs = torch.full((1, 1, 2, 2), 0.0 if value < 0 else 1.0)
    points = inputs.clone()
    points[0, 0, 0, 0] = value
    assert not inside(points, inputs, ThreatModel.parse("Linf:8/255")).any()


@given(
    norm=st.sampled_from(Norm),
    epsilon=st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(9, 10)),
    scale=st.floats(0.001, 100),
    seed=st.integers(0, 1000),
)
def test_what_is_pulled_back_is_inside_the_real_ball(norm: Norm, epsilon: Fraction, scale: float, seed: int) -> None:
    """Not only within the tolerance: rounding goes towards the input, so the exact ball holds it."""
    inputs, threat_model = _inputs(seed, 4), ThreatModel(norm=norm, epsilon=epsilon)
    points = pull_back(inputs + scale * (_inputs(seed + 1, 4) - 0.5), inputs, threat_model)
    change = (points.double() - inputs.double()).flatten(1)
    length = norms.size(change, norm)
    assert (length <= float(epsilon) * (1 + 1e-12)).all()
    assert inside(points, inputs, threat_model).all()


def test_a_candidate_that_is_no_image_counts_as_the_clean_input() -> None:
    """NaN and infinite pixels break nothing and pass nothing on to the model."""
    inputs = _inputs(count=3)
    examples = Examples(inputs=inputs, labels=torch.tensor([0, 0, 0]), indices=torch.arange(3))
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()
    candidates = inputs.clone()
    candidates[0, 0, 0, 0], candidates[1, 0, 0, 0] = torch.nan, torch.inf
    found = judge(module, candidates, examples, ThreatModel.parse("L2:0.5"))
    clean = judge(module, inputs, examples, ThreatModel.parse("L2:0.5"))
    assert found.margin.equal(clean.margin) and found.robust.equal(clean.robust)
    assert found.moved.tolist() == [True, True, False]


class _Table(nn.Module):
    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(inputs)]


def test_ties_count_as_torchs_argmax_and_nothing_infinite_is_robust() -> None:
    """A tie goes to the first class; infinite or missing logits are reported and never robust."""
    nan, inf = float("nan"), float("inf")
    module = _Table([[1.0, 1.0], [1.0, 1.0], [inf, 0.0], [0.0, nan]])
    examples = Examples(inputs=_inputs(count=4), labels=torch.tensor([0, 1, 0, 0]), indices=torch.arange(4))
    found = judge(module, examples.inputs, examples, ThreatModel.parse("Linf:8/255"))
    assert found.robust.tolist() == [True, False, False, False]
    assert found.finite.tolist() == [True, True, False, False]
    assert found.margin.tolist() == [0.0, 0.0, -inf, -inf]


def test_one_candidate_per_example_is_expected() -> None:
    """Anything else is a programmer's error."""
    examples = Examples(inputs=_inputs(count=2), labels=torch.zeros(2).long(), indices=torch.arange(2))
    with pytest.raises(ValueError, match="Expected `candidates`"):
        judge(nn.Flatten(), examples.inputs[:1], examples, ThreatModel.parse("Linf:8/255"))
