"""Tests of averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.training.averaging import Averaged, decay_at


@pytest.mark.parametrize("decay", [0.998, 0.9995])
def test_the_start_is_soon_forgotten(decay):
    """However long the memory, 200 steps after a buffer jumped from 1 to 0.01 its average is within a tenth of it."""
    model = nn.BatchNorm2d(1)
    average = Averaged(model, decay)
    average.update(model)
    model.running_var.fill_(0.01)
    for _ in range(200):
        average.update(model)
    assert float(average.module.running_var) == pytest.approx(0.01, rel=0.1)


def test_the_average_is_the_recursion():
    """Each update is `d average + (1 - d) current`, with the decay of that moment."""
    model = nn.Linear(1, 1, bias=False)
    average = Averaged(model, 0.5)
    expected = None
    for count, value in enumerate((1.0, 3.0, -2.0, 8.0)):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
        decay = decay_at(count, 0.5)
        expected = value if expected is None else decay * expected + (1 - decay) * value
    assert float(average.module.weight.detach()) == pytest.approx(expected)


def test_counts_are_taken_over_and_the_state_goes_on():
    """Integers are copied, and an average that was stored and read goes on as if it never stopped."""
    model = nn.BatchNorm2d(1)
    whole, parts = Averaged(model, 0.9), Averaged(model, 0.9)
    for step in range(6):
        model.running_mean.fill_(float(step))
        model.num_batches_tracked.fill_(step)
        if step == 3:
            stored, parts = parts.state_dict(), Averaged(nn.BatchNorm2d(1), 0.9)
            parts.load_state_dict(stored)
        whole.update(model)
        parts.update(model)
    assert whole.module.num_batches_tracked == 5
    assert torch.equal(whole.module.running_mean, parts.module.running_mean)
