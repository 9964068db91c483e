from __future__ import annotations

import dataclasses
import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench import data
from bench.cli.tables import row_table
from bench.core import digest
from bench.core.errors import BenchError
from bench.jobs import request as module
from bench.jobs.lookup import Lookup
from bench.jobs.request import RunRequest, load_data, pick_device, resolve, row_name
from bench.jobs.run import run
from bench.jobs.verify import verify
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
        ("some/where/net.py:make", None, "net-make-ed472d59"),
        ("robustbench:Rice2020Overfitting", None, "robustbench-Rice2020Overfitting"),
        ("../my nets/a (1).py:make", None, "a-1-make-ed472d59"),
    ],
)
def test_a_row_is_named_safely(name, weights, expected):
    """As a file's name."""
    assert row_name(loaded(name), weights) == expected


@pytest.mark.parametrize("change", [{"digest": "8" * 64}, {"factory_digest": "1" * 64}])
def test_no_two_models_of_a_users_share_a_row(change):
    """Neither two sets of weights nor the same weights under other code."""
    model = loaded("net.py:make")
    assert row_name(model, None) != row_name(dataclasses.replace(model, **change), None)


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
    plan = resolve(RunRequest(**asked), told.append).plan
    assert plan.examples.indices.tolist() == list(range(256))
    (line,) = told
    assert "first 256 of 360" in line
    assert line.endswith("--samples 360")
    assert str(plan.threat_model) == "Linf:1/10"


def test_a_budget_decides_among_all(asked):
    """No default cuts the examples before the budget does."""
    told: list[str] = []
    assert len(resolve(RunRequest(**asked, budget=60.0), told.append).plan.examples) == 360
    assert told == []


def test_on_an_accelerator_all(asked, monkeypatch):
    """No word is needed then."""
    told: list[str] = []
    monkeypatch.setattr(module, "SAMPLES_ON_CPU", 360)
    assert len(resolve(RunRequest(**asked), told.append).plan.examples) == 360
    assert told == []


def test_what_is_asked_for_is_what_is_taken(asked):
    """An explicit number needs no remark."""
    told: list[str] = []
    plan = resolve(RunRequest(**asked, samples=300, threat_model="L2:1/4", suite="quick"), told.append).plan
    assert (len(plan.examples), str(plan.threat_model), plan.suite.label) == (300, "L2:1/4", "quick-v1")
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


CLASSES = [f"n{number:08d}" for number in range(1000)]


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """A folder like ImageNet's with four images of unequal sizes, and a network for RobustBench's `Wong2020Fast`."""
    images = tmp_path / "data" / "imagenet" / "val"
    for number, name in enumerate(CLASSES):
        (images / name).mkdir(parents=True)
        if number < 4:
            pixels = np.random.default_rng(number).integers(0, 256, (300 + 9 * number, 400, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / name / f"ILSVRC2012_val_{number + 1:08d}.JPEG")
    names = digest.of_bytes(*(name.encode() for name in CLASSES))
    monkeypatch.setattr("bench.data.datasets.imagenet._CLASSES_DIGEST", names)
    monkeypatch.setattr("bench.data.datasets.imagenet._SIZE", 4)
    monkeypatch.setitem(data.DATASETS.get("imagenet").sizes, "test", 4)
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 1000)).eval().requires_grad_(False)
    monkeypatch.setattr("bench.models.sources.robustbench._fetched", lambda *_: net)
    return tmp_path / "data"


@pytest.mark.skipif(importlib.util.find_spec("robustbench") is None, reason="needs the extra `zoo`")
def test_a_model_of_robustbench_gets_its_own_pixels(imagenet, tmp_path):
    """288 x 288 of the middle, said aloud, in the row and in the digest; the row is verified with the same."""
    told: list[str] = []
    usual = data.load("imagenet", data_dir=imagenet)
    request = RunRequest(
        model="robustbench:Wong2020Fast",
        dataset="imagenet",
        data_dir=imagenet,
        suite="quick-v1",
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )
    ran = run(request, notify=told.append)
    assert "Images as robustbench:Wong2020Fast takes them: CenterCrop(288)" in told
    assert ran.record.preprocessing == "CenterCrop(288)"
    assert "Images: CenterCrop(288)" in row_table(ran.record)
    run_again = resolve(request, told.append)
    assert run_again.dataset.shape == (3, 288, 288) and usual.shape == (3, 224, 224)
    assert ran.record.digests.dataset == run_again.dataset.digest != usual.digest
    found = verify(ran.path, Lookup(data_dir=imagenet, device="cpu"))
    assert not found.failed


@pytest.mark.skipif(importlib.util.find_spec("robustbench") is None, reason="needs the extra `zoo`")
def test_models_of_unlike_pixels_are_not_measured_together(imagenet):
    """Both, and what they take, are named; those of like pixels are fine."""
    load = functools.partial(load_data, "imagenet", data_dir=imagenet, class_names=None, threat_model=None)
    with pytest.raises(BenchError, match=r"'robustbench:Wong2020Fast' and 'net.py:make' take other pixels"):
        load(models=["robustbench:Wong2020Fast", "net.py:make"])
    like = load(models=["robustbench:Salman2020Do_R50", "net.py:make"])
    assert str(like.preprocessing) == "Resize(256, bilinear), CenterCrop(224)"


def test_what_was_done_to_own_data_is_told(tmp_path):
    """Each remark is a line."""
    np.savez(tmp_path / "mine.npz", inputs=np.full((2, 1, 2, 2), 1.0000002, np.float32), labels=[0, 1])
    told: list[str] = []
    name = str(tmp_path / "mine.npz")
    load_data(name, models=["net.py:make"], data_dir=None, class_names=None, threat_model=None, notify=told.append)
    (line,) = told
    assert "clipped to [0, 1]" in line
