"""`bench train` from the command line, with real kills."""

from __future__ import annotations

import dataclasses
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
from bench.training import code_digest, loop, pace
from bench.training.recipes import RECIPES
from bench.training.validation import SplitData, validated


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
    kill_in_the_middle(tmp_path / "killed", "--epochs", "4")
    assert train(tmp_path / "killed", epochs=4).exit_code == 0
    same_weights(tmp_path / "whole", tmp_path / "killed")


def test_a_killed_run_of_some_minutes_keeps_its_epochs(tmp_path, monkeypatch):
    """Killed and started again, it ends after the epochs that it chose, where a run of so many epochs ends."""
    minutes = ("--minutes", "5")
    kill_in_the_middle(tmp_path / "killed", *minutes, patch="loop.epochs_that_fit = lambda *_: 3")
    monkeypatch.setattr(loop, "epochs_that_fit", lambda *_: 9)
    words = ("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(tmp_path / "killed"), "--quiet")
    assert bench(*words, *minutes).exit_code == 0
    assert train(tmp_path / "whole", epochs=3).exit_code == 0
    same_weights(tmp_path / "whole", tmp_path / "killed")


def kill_in_the_middle(out, *more, patch="") -> None:
    """Start `bench train` under a `patch`, and kill it after its first epoch and before its last."""
    code = f"from bench.training import loop; loop.SNAPSHOT_SECONDS = 0.0; {patch}"
    code = f"{code}\nfrom bench.cli.main import main; main()"
    words = ("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(out), *more)
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    snapshot = out / "pgd-at" / "digits.snapshot.pt"
    deadline = time.monotonic() + 300
    while not (snapshot.exists() and torch.load(snapshot, weights_only=True)["state"]["epoch"] >= 1):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(snapshot, weights_only=True)["state"]
    assert 1 <= state["epoch"] < state["epochs"]


def same_weights(one, other) -> None:
    whole, resumed = (load_file(folder / "pgd-at" / "digits.safetensors") for folder in (one, other))
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


def test_a_forced_run_goes_on_where_it_was_killed(tmp_path):
    """Over a finished checkpoint, too, the same command resumes; what another run left is replaced."""
    out = tmp_path / "killed"
    assert train(out, epochs=1).exit_code == 0
    snapshot = out / "pgd-at" / "digits.snapshot.pt"
    snapshot.unlink()
    kill_in_the_middle(out, "--force", "--epochs", "3")
    words = ("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(out), "--force", "--epochs")
    resumed = bench(*words, "3")
    assert resumed.exit_code == 0 and "epoch 3/3" in resumed.stderr and "epoch 1/3" not in resumed.stderr
    assert train(tmp_path / "whole", epochs=3).exit_code == 0
    same_weights(tmp_path / "whole", out)
    for epochs in ("3", "2"):  # finished, and another run's
        again = bench(*words, epochs)
        assert again.exit_code == 0 and f"epoch 1/{epochs}" in again.stderr


@pytest.mark.parametrize("changed", ["teacher", "code"])
def test_a_run_does_not_go_on_with_another_teacher_or_other_code(tmp_path, monkeypatch, changed):
    """Half its epochs would be of one, and half of another."""
    shorten_warm_up(monkeypatch, "tiny")
    assert train(tmp_path, recipe="aw-net", epochs=1).exit_code == 0
    (tmp_path / "aw-net" / "digits.safetensors").unlink()
    if changed == "teacher":
        assert train(tmp_path, recipe="standard", epochs=1).exit_code == 0
    else:
        monkeypatch.setattr("bench.jobs.train.code_digest", lambda: "another")
    done = train(tmp_path, recipe="aw-net", epochs=1)
    assert done.exit_code == 2 and "belongs to another run" in done.stderr
    assert f"its {'standard that it learns from' if changed == 'teacher' else 'code'} is" in done.stderr


@pytest.fixture
def narrow_medium(monkeypatch):
    """Scale `medium` with a network of width 8 and small batches, for CPUs."""
    for name in ("pgd-at", "standard", "trades", "aw-net"):
        scales = RECIPES.get(name).scales
        plan = dataclasses.replace(scales["medium"], arguments={"width": 8}, batch_size=128)
        monkeypatch.setitem(scales, "medium", plan)
    monkeypatch.setattr(pace, "TRIAL_SECONDS", 0.1)
    shorten_warm_up(monkeypatch, "medium")


def shorten_warm_up(monkeypatch, scale):
    """Warm AW-Net's router up for three batches."""
    scales = RECIPES.get("aw-net").scales
    objective = dataclasses.replace(scales[scale].objective, warm_up_steps=3)
    monkeypatch.setitem(scales, scale, dataclasses.replace(scales[scale], objective=objective))


def test_medium_makes_the_full_width_models(tmp_path, narrow_medium):
    """`--scale medium` makes the model with -r18 behind, from teachers of that kind."""
    for recipe in ("standard", "trades"):
        assert train(tmp_path, "--scale", "medium", recipe=recipe, epochs=1).exit_code == 0
    done = train(tmp_path, "--scale", "medium", "--json", recipe="aw-net", epochs=1)
    assert done.exit_code == 0
    manifest = json.loads(done.stdout)["manifest"]
    assert (manifest["model"], manifest["recipe"], manifest["scale"]) == ("aw-net-r18", "aw-net", "medium")
    assert (manifest["epochs"], manifest["images"]) == (1, 1280)  # of 1,294, ten batches
    assert manifest["starts_from"] == "trades-r18" and manifest["teachers"] == ["standard-r18", "trades-r18"]
    paths = {name: tmp_path / name / "digits.safetensors" for name in manifest["teachers"]}
    digits = data.load("digits")
    assert manifest["origins"] == {
        name: models.load(name, weights=path, dataset=digits).digest for name, path in paths.items()
    }
    measured = {each["name"] for each in manifest["accuracies"] if each["checkpoint"] == "best"}
    assert measured > {"router_clean", "router_training_attack", "router_pgd20", "router_steered"}
    path = tmp_path / "aw-net-r18" / "digits.safetensors"
    assert models.load("aw-net-r18", weights=path, dataset=data.load("digits")).manifest.model == "aw-net-r18"


def test_minutes_are_kept(tmp_path, narrow_medium):
    """`--minutes M` ends with a checkpoint after epochs that take about M minutes: less than twice that here."""
    words = ("train", "--recipe", "pgd-at", "--dataset", "digits", "--scale", "medium", "--out", str(tmp_path))
    done = bench(*words, "--minutes", "0.4", "--quiet", "--json")
    assert done.exit_code == 0
    assert 0 < json.loads(done.stdout)["manifest"]["training_seconds"] < 48
    assert (tmp_path / "pgd-at-r18" / "digits.safetensors").exists()


def test_weights_are_float16_and_what_is_reported_is_theirs(tmp_path):
    """Filters are stored in float16, and held-out as well as test accuracies are those of the stored weights."""
    assert train(tmp_path).exit_code == 0
    path = tmp_path / "pgd-at" / "digits.safetensors"
    stored = load_file(path)
    assert {each.dtype for each in stored.values() if each.dim() > 1} == {torch.float16}
    assert stored["bn1.running_var"].dtype == torch.float32
    model = models.load("pgd-at", weights=path, dataset=data.load("digits"))
    assert {each.dtype for each in model.module.parameters()} == {torch.float32}
    plan = RECIPES.get("pgd-at").plan("tiny")
    digits = data.load("digits", split="train")
    held = SplitData.of(digits.examples, torch.device("cpu"))
    found = validated(model.module, plan, held, digits.default_threat_model)
    claims = {each.name: each.fraction for each in model.manifest.accuracies if each.split == "validation"}
    best = {each.name: each.fraction for each in model.manifest.accuracies[:2]}
    assert set(claims) == {"clean", "pgd10"}
    assert best == {"clean": found.clean, "pgd10": found.robust}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--minutes", "0.0001"), "enough minutes for one epoch"),
        (("--minutes", "-1"), "Expected --minutes to be a number above 0, but got -1."),
        (("--minutes", "nan"), "Expected --minutes to be a number above 0, but got nan."),
        (("--minutes", "1", "--epochs", "2"), "Expected --epochs or --minutes, but got both"),
        (("--scale", "medium", "--epochs", "1"), "Expected at least 5000 examples"),
        (("--epochs", "0"), "Expected at least 1 epoch, but got 0."),
        (("--epochs", "1", "--test-samples", "0"), "Expected at least 1 sample, but got 0."),
        (("--epochs", "1", "--test-samples", "361"), "Expected at most 360 samples, but got 361"),
    ],
)
def test_a_number_that_makes_no_sense_is_one_line(tmp_path, monkeypatch, more, expected):
    """Too few minutes, no number, two answers to one question, too large a batch: one line, exit 2, nothing written.

    It is told before the training, also what is about the time after it.
    """
    scales = RECIPES.get("pgd-at").scales
    monkeypatch.setitem(scales, "medium", dataclasses.replace(scales["medium"], batch_size=5000))
    done = bench("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(tmp_path / "out"), *more)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert expected in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_snapshot_of_another_schedule_is_refused(tmp_path, monkeypatch):
    """A run of two epochs is not continued as one of three, nor as one of some minutes; the line has both."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.jobs.train._on_test", interrupted)
    assert train(tmp_path, epochs=2).exit_code == 130
    for more, schedule in ((("--epochs", "3"), "3 epochs"), (("--minutes", "1"), "what fits in 1 minutes")):
        done = bench("train", "--recipe", "pgd-at", "--dataset", "digits", "--out", str(tmp_path), *more)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert f"its schedule is '2 epochs', but this run's is '{schedule}'" in done.stderr


def test_a_teacher_of_another_dataset_is_refused(tmp_path):
    """A teacher whose manifest names other data is not used, even where its shape fits."""
    assert train(tmp_path, recipe="standard", epochs=1).exit_code == 0
    path = tmp_path / "standard" / "digits.json"
    path.write_text(path.read_text().replace('"dataset": "digits"', '"dataset": "cifar10"'))
    done = train(tmp_path, recipe="aw-net", epochs=1)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "to be trained on 'digits', but its manifest says 'cifar10'" in done.stderr


def test_a_teacher_of_another_scale_is_refused(tmp_path):
    """Of one's own folder or of bench: the manifest would call a narrow network that of the paper."""
    done = train(tmp_path, "--scale", "paper", recipe="aw-net", epochs=1)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "that comes with bench is of scale tiny" in done.stderr
    assert "bench train --recipe standard --dataset digits --scale paper" in done.stderr
    assert train(tmp_path, recipe="pgd-at", epochs=1).exit_code == 0
    path = tmp_path / "pgd-at" / "digits.json"
    path.write_text(path.read_text().replace('"scale": "tiny"', '"scale": "paper"'))
    done = train(tmp_path, "--scale", "small", recipe="ducat", epochs=1)
    assert done.exit_code == 2 and f"{path.with_suffix('.safetensors')} is of scale paper" in done.stderr


def test_all_code_that_trains_tells_versions_apart(monkeypatch):
    """Crafting folds networks, projects and takes directions, and IBP bounds, in packages of their own."""
    seen = []
    monkeypatch.setattr("bench.training.snapshot.digest.of_sources", lambda paths: seen.extend(paths) or "digest")
    code_digest.__wrapped__()
    names = {f"{path.parent.name}/{path.name}" for path in seen}
    assert {"training/step.py", "ops/projections.py", "acceleration/forms.py", "certification/bounds.py"} <= names


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
    shorten_warm_up(monkeypatch, "tiny")
    for name in RECIPES.get("aw-net").teachers.values():
        assert train(tmp_path, recipe=name, epochs=1).exit_code == 0
    assert train(tmp_path, recipe="aw-net", epochs=1).exit_code == 0
