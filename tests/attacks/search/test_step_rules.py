from __future__ import annotations

import pytest

from bench.attacks.search.step_rules import windows


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
