from __future__ import annotations

import pytest
import torch

from bench.attacks.search import Ball
from bench.attacks.search.step_rules import MomentumStep, windows
from bench.core.types import ThreatModel


def test_the_hundred_step_schedule_is_that_of_the_paper() -> None:
    """APGD with 100 steps considers halving at the published checkpoints."""
    assert list(windows(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20, 50, 100, 200, 300, 1000])
def test_windows_are_those_of_the_reference(steps: int) -> None:
    """For any number of steps the windows equal the reference's `k`."""
    window, shrink, shortest = max(int(0.22 * steps), 1), max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)
    expected, end = {}, window
    while end <= steps:
        expected[end] = window
        window = max(window - shrink, shortest)
        end += window
    assert windows(steps) == expected


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_momentum_remembers_a_small_gradient_as_any_other(norm) -> None:
    """Of two gradients, each counts by its direction, though the square of the first is 0 in float32."""
    point = torch.full((1, 1, 1, 2), 0.5)
    rule = MomentumStep.within(Ball.around(point, ThreatModel.parse(f"{norm}:1/10")), lengths=(0.01, 0.01), decay=1.0)
    for number, gradient in enumerate(([1e-25, 0.0], [0.0, 1.0])):
        rule.step(point, torch.zeros(1), torch.tensor(gradient).view(1, 1, 1, 2), number=number)
    assert rule.velocity.flatten().tolist() == pytest.approx([1, 1])
