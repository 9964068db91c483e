"""How many epochs fit: arithmetic on a measured pace."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.core.errors import BenchError
from bench.training import pace
from bench.training.objectives.standard import Standard
from bench.training.run import Run


@pytest.fixture
def machine(monkeypatch):
    """A clock that only work moves: first steps of 5 s, others of 0.5 s; validations of 3 s, then of 1.5 s."""
    clock = SimpleNamespace(now=100.0, steps=0, validations=0)

    def step(*_):
        clock.steps += 1
        clock.now += 5.0 if clock.steps <= 2 else 0.5
        return torch.zeros(())

    def validated(*_):
        clock.validations += 1
        clock.now += 3.0 if clock.validations == 1 else 1.5

    monkeypatch.setattr(pace, "step", step)
    monkeypatch.setattr(pace, "validated", validated)
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def work():
    return SimpleNamespace(
        plan=SimpleNamespace(ema=None, objective=Standard(), momentum=0.9, weight_decay=0.0),
        data=None,
        threat_model=None,
        steps=17,
        context=lambda run: SimpleNamespace(epoch=0.0, epochs=1),
        batches=lambda epoch, context: iter([(None, None)] * 2),
    )


def fits(work, seconds: float) -> int:
    return pace.epochs_that_fit(Run(model=nn.Linear(1, 1), identity={}), work, seconds, 90.0)


def test_epochs_follow_from_the_usual_pace(machine, work):
    """First steps and the first validation do not count as the pace, but as time that has passed."""
    spent = 10.0 + 2 * 5 + 3 * 0.5 + 4.5  # before the trial, in it, and in two validations
    epoch = 17 * 0.5 + 1.5
    for epochs in (1, 2, 30):
        machine.now, machine.steps, machine.validations = 100.0, 0, 0
        assert fits(work, spent + (epochs * epoch + 0.1) / 0.95) == epochs


@pytest.mark.parametrize("seconds", [35.0, 5.0])
def test_less_than_an_epoch_is_refused(machine, work, seconds):
    """Where not one epoch fits, the message has the time of one and what is left."""
    left = max(0.95 * (seconds - 26.0), 0) / 60
    with pytest.raises(BenchError, match=f"takes about 0.17 of them here and {left:.2g} are left after the start"):
        fits(work, seconds)
