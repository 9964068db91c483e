"""`bench train` from the command line, with real kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from bench import data, models
from bench.cli.main import app
from bench.training.recipes import RECIPES


def bench(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def train(out, *more, recipe="pgd-at", epochs=2):
    words = ("train", "--recipe", recipe, "--dataset", "digits", "--epochs", str(epochs), "--out", str(out), "--quiet")
    return bench(*words, *more)


def test_a_trained_checkpoint_is_loaded_and_does_what_its_manifest_says(tmp_path):
    """Weights and manifest are written, load again, and give the clean accuracy that the manifest claims."""
    done = train(tmp_path, "--json")
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    dataset = data.load("digits")
    model = models.load("pgd-at", weights=tmp_path / "pgd-at" / "digits.safetensors", dataset=dataset)
    with torch.no_grad():
        right = int((model.module(dataset.examples.inputs).argmax(1) == dataset.examples.labels).sum())
    claims = [a for a in shown["manifest"]["accuracies"] if (a["name"], a["checkpoint"]) == ("clean", "best")]
    assert {a["split"]: a["n_correct"] for a in claims}["test"] == right
    assert shown["manifest"]["recipe"] == "pgd-at"
    assert (tmp_path / "pgd-at" / "digits.csv").read_text().count("\n") == 3
    log = tmp_path / "pgd-at" / "digits.tensorboard"
    assert shown["event_log"] == (str(log) if log.exists() else None)


def test_a_killed_run_ends_with_the_same_weights(tmp_path):
    """Killed in the middle and started again, training ends bit for bit where an uninterrupted run ends."""
    assert train(tmp_path / "whole", epochs=4).exit_code == 0
    code = "from bench.training import loop; loop.SNAPSHOT_SECONDS = 0.0; from bench.cli.main import main; main()"
    words = ("train", "--recipe", "pgd-at", "--dataset", "digits", "--epochs", "4", "--out", str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    snapshot = tmp_path / "killed" / "pgd-at" / "digits.snapshot.pt"
    deadline = time.monotonic() + 300
    while not (snapshot.exists() and torch.load(snapshot, weights_only=True)["state"]["epoch"] >= 1):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(snapshot, weights_only=True)["state"]["epoch"] < 4
    assert train(tmp_path / "killed", epochs=4).exit_code == 0
    whole, resumed = (load_file(tmp_path / name / "pgd-at" / "digits.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


def test_a_finished_checkpoint_is_not_overwritten_unasked(tmp_path):
    """A second run refuses in one line and says how; --force trains again."""
    assert train(tmp_path, epochs=1).exit_code == 0
    again = train(tmp_path, epochs=1)
    assert again.exit_code == 2
    assert "already a checkpoint" in again.stderr
    assert train(tmp_path, "--force", epochs=1).exit_code == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("--recipe", "pgdat"), "Unknown recipe 'pgdat'. Did you mean 'pgd-at'?"),
        (("--dataset", "digit"), "Did you mean 'digits'?"),
        (("--scale", "smal"), "Did you mean 'small'?"),
        (("--device", "tpu"), "No device 'tpu'"),
        (("--recipe", "at-awp", "--scale", "paper"), "refuses its arguments"),
    ],
)
def test_a_wrong_name_is_one_line(tmp_path, change, expected):
    """An unknown recipe, dataset, scale or device is answered with what exists, exit 2, nothing written."""
    done = bench("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(tmp_path / "out"), *change)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_teacher_says_how_to_make_it(tmp_path, monkeypatch):
    """A recipe whose teacher has no checkpoint names the command that trains it."""
    monkeypatch.setattr("bench.models.store.root", lambda: None)
    done = train(tmp_path, recipe="aw-net")
    assert done.exit_code == 2
    assert "bench train --recipe standard --dataset digits" in done.stderr


def test_teachers_are_taken_from_the_folder_of_the_run(tmp_path, monkeypatch):
    """AW-Net is distilled from teachers that were trained into the same folder."""
    monkeypatch.setattr("bench.models.store.root", lambda: None)
    for name in RECIPES.get("aw-net").teachers.values():
        assert train(tmp_path, recipe=name, epochs=1).exit_code == 0
    assert train(tmp_path, recipe="aw-net", epochs=1).exit_code == 0
