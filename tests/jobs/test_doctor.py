from __future__ import annotations

import pytest

from bench.core.errors import BenchError
from bench.jobs.doctor import DoctorRequest, doctor
from bench.row.check_result import Level

NETS = """
import torch
from torch import nn


def probabilities():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(dim=1))


def three_classes():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


class Broken(nn.Module):
    def forward(self, inputs):
        return self.missing(inputs)


class Infinite(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :10] / 0


class Noisy(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :10] + torch.randn(len(inputs), 10)
"""


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "net.py").write_text(NETS)

    def ask(factory: str, *checks: str) -> DoctorRequest:
        model = f"{tmp_path / 'net.py'}:{factory}"
        return DoctorRequest(model=model, dataset="digits", samples=16, device="cpu", checks=checks)

    return ask


@pytest.mark.parametrize(
    ("factory", "check"),
    [("probabilities", "R5"), ("three_classes", "R5"), ("Infinite", "R4"), ("Noisy", "R2")],
)
def test_what_a_run_refuses_is_a_finding(asked, factory, check):
    """Whatever can be called is examined: probabilities, other classes, infinite logits, noise."""
    found = doctor(asked(factory, check))
    assert found.level is Level.FAIL
    assert [each.id for each in found.diagnostics] == [check]


@pytest.mark.parametrize(("factory", "why"), [("Broken", "cannot be called"), ("nothing", "nothing")])
def test_what_cannot_be_loaded_or_called_is_refused(asked, factory, why):
    """In one line that says why."""
    with pytest.raises(BenchError, match=why):
        doctor(asked(factory, "R5"))


def test_what_is_asked_for_is_said(asked):
    """Which examples, which threat model, which seed, and how long it took."""
    request = DoctorRequest(model="pgd-at", dataset="digits", indices="3:9", device="cpu", checks=("R19", "R7"), seed=5)
    found = doctor(request)
    assert (found.indices, found.threat_model, found.seed, found.notice) == ("3:9", "Linf:1/10", 5, None)
    assert [each.id for each in found.diagnostics] == ["R7", "R19"]
    assert found.diagnostics[1].threshold == pytest.approx(357 / 360, abs=1e-4)
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"checks": ("R0",)}, "Unknown check 'R0'"),
        ({"seconds": 0.0}, "above 0 seconds"),
        ({"samples": 0}, "at least 1 sample"),
        ({"threat_model": "Linf:8"}, "epsilon below 1"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(change, why):
    """By name."""
    with pytest.raises(BenchError, match=why):
        doctor(DoctorRequest(**{"model": "pgd-at", "dataset": "digits", "device": "cpu", **change}))
