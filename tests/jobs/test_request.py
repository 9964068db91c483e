from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.core.errors import BenchError
from bench.jobs import request as module
from bench.jobs.request import RunRequest, pick_device, resolve, row_name
from bench.models import LoadedModel
from bench.models.zoo import ZOO

NET = """
from torch import nn


def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


def loaded(name: str, **more: object) -> LoadedModel:
    return LoadedModel(
        name=name, module=nn.Identity(), digest="12345678" * 8, factory_digest="0" * 64, num_classes=10, **more
    )


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("some/where/net.py:make", None, "net-make-12345678"),
        ("robustbench:Rice2020Overfitting", None, "robustbench-Rice2020Overfitting"),
        ("../my nets/a (1).py:make", None, "a-1-make-12345678"),
    ],
)
def test_a_row_is_named_safely(name, weights, expected):
    """As a file's name, and never the same for two sets of weights."""
    assert row_name(loaded(name), weights) == expected


def test_a_model_of_the_zoo_keeps_its_name_only_with_its_own_weights():
    """The user's weights for it are another model."""
    model = loaded("aw-net", spec=ZOO.get("aw-net"))
    assert row_name(model, None) == "aw-net"
    assert row_name(model, Path("mine.pth")) == "aw-net-12345678"


@pytest.fixture
def asked(tmp_path):
    """A request for a small model on the digits, on the CPU."""
    (tmp_path / "net.py").write_text(NET)
    return {"model": f"{tmp_path / 'net.py'}:make", "dataset": "digits", "leaderboard": tmp_path, "device": "cpu"}


def test_on_a_cpu_the_first_256_and_a_word_about_all(asked):
    """The default says what it leaves out, and the option for it."""
    told: list[str] = []
    setting = resolve(RunRequest(**asked), told.append)
    assert setting.examples.indices.tolist() == list(range(256))
    (line,) = told
    assert "first 256 of 360" in line
    assert line.endswith("--samples 360")
    assert str(setting.threat_model) == "Linf:1/10"


def test_a_budget_decides_among_all(asked):
    """No default cuts the examples before the budget does."""
    told: list[str] = []
    assert len(resolve(RunRequest(**asked, budget=60.0), told.append).examples) == 360
    assert told == []


def test_on_an_accelerator_all(asked, monkeypatch):
    """No word is needed then."""
    told: list[str] = []
    monkeypatch.setattr(module, "SAMPLES_ON_CPU", 360)
    assert len(resolve(RunRequest(**asked), told.append).examples) == 360
    assert told == []


def test_what_is_asked_for_is_what_is_taken(asked):
    """An explicit number needs no remark."""
    told: list[str] = []
    setting = resolve(RunRequest(**asked, samples=300, threat_model="L2:1/4", suite="quick"), told.append)
    assert (len(setting.examples), str(setting.threat_model), setting.suite.label) == (300, "L2:1/4", "quick-v1")
    assert told == []


def test_a_device_that_is_not_there_is_refused():
    """With those that are."""
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(BenchError, match=r"No device 'nonsense' on this machine\. Available: .*cpu"):
        pick_device("nonsense")


@pytest.mark.gpu
def test_a_gpu_is_picked_unasked():
    """The first one."""
    assert pick_device(None) == torch.device("cuda:0")
