"""Tests of averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.training.averaging import averaged, decay_at


def test_the_start_is_soon_forgotten():
    """At a decay of 0.998, 200 steps after a buffer jumped from 1 to 0.01 its average is within a tenth of it."""
    model = nn.BatchNorm2d(1)
    average = averaged(model, 0.998)
    average.update_parameters(model)
    model.running_var.fill_(0.01)
    for _ in range(200):
        average.update_parameters(model)
    assert float(average.module.running_var) == pytest.approx(0.01, rel=0.1)


def test_the_average_is_the_recursion():
    """Each update is `d average + (1 - d) current`, with the decay of that moment."""
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model, 0.5)
    expected = None
    for count, value in enumerate((1.0, 3.0, -2.0, 8.0)):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
        decay = decay_at(count, 0.5)
        expected = value if expected is None else decay * expected + (1 - decay) * value
    assert float(average.module.weight.detach()) == pytest.approx(expected)
