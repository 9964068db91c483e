from __future__ import annotations

import pytest

from bench.training.recipes import RECIPES
from bench.training.schedule import OneCycle, Steps


def test_one_cycle_rises_to_its_peak_and_falls_to_zero():
    """The rate is 0 at both ends, the peak after the rise, and linear between."""
    cycle = OneCycle(peak=0.2, rise=0.25)
    rates = [cycle.at(epoch, 8) for epoch in (0, 1, 2, 5, 8, 8.5)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.1, 0, 0])


def test_steps_divide_by_ten_at_each_milestone():
    """The rate drops when a milestone is reached, not before."""
    steps = Steps(base=0.1, milestones=(100, 150), of=200)
    assert [steps.at(epoch, 200) for epoch in (0, 99.99, 100, 150, 199)] == pytest.approx([0.1, 0.1, 0.01, 1e-3, 1e-3])


def test_a_shorter_training_meets_its_milestones_earlier():
    """`--epochs 20` of a plan of 200 ends at the rate at which the plan ends."""
    steps = Steps(base=0.1, milestones=(100, 150), of=200)
    rates = [steps.at(epoch, 20) for epoch in (0, 9.9, 10, 14.9, 15, 19)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])


@pytest.mark.parametrize("recipe", list(RECIPES), ids=lambda recipe: recipe.name)
def test_milestones_are_of_the_recipe_s_own_epochs(recipe):
    """Every stepped schedule comes to its last step within the epochs that it was made for."""
    plan = recipe.scales["paper"]
    if isinstance(plan.schedule, Steps):
        assert plan.schedule.of == plan.epochs > plan.schedule.milestones[-1]
