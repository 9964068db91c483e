"""Tests of the training loop on a tiny problem."""

from __future__ import annotations

import dataclasses
import time
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.training import loop, pace
from bench.training.crafting import TrainingAttack
from bench.training.loop import train
from bench.training.objectives.objective import Objective
from bench.training.objectives.pgd_at import PgdAt
from bench.training.objectives.standard import Standard
from bench.training.recipe import Augmentation, Plan
from bench.training.run import Run
from bench.training.schedule import OneCycle

THREAT_MODEL = ThreatModel.parse("Linf:1/10")
ATTACK = TrainingAttack(steps=2, relative_step_size=Fraction(3, 4))
IDENTITY = {"recipe": "test", "seed": "0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exploding(Objective):
    """A loss that is not a number after the first epoch."""

    def loss(self, model, batch, context):
        return model(batch.inputs).float().sum() * (1.0 if context.epoch < 1 else float("nan"))


@pytest.fixture
def examples():
    """Two classes: brighter on the left or on the right."""
    generator = torch.Generator().manual_seed(0)
    inputs = 0.4 * torch.rand((400, 1, 4, 4), generator=generator)
    labels = torch.randint(0, 2, (400,), generator=generator)
    inputs[labels == 0, :, :, :2] += 0.6
    inputs[labels == 1, :, :, 2:] += 0.6
    return Examples(inputs=inputs, labels=labels, indices=torch.arange(400))


def new_run():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
    return Run(model=nn.Sequential(*layers), identity=IDENTITY)


@pytest.fixture
def run():
    return new_run()


def plan_for(objective, **changes):
    plan = Plan(
        architecture="none",
        arguments={},
        objective=objective,
        epochs=3,
        schedule=OneCycle(peak=0.1),
        batch_size=32,
        ema=0.9,
        augmentation=Augmentation(padding=0, flip=False),
    )
    return dataclasses.replace(plan, **changes)


def train_here(run, plan, examples, path, **more):
    cpu = torch.device("cpu")
    path.mkdir(exist_ok=True)
    return train(run, plan, examples, THREAT_MODEL, seed=0, device=cpu, snapshot_path=path / "run.snapshot.pt", **more)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_training_learns(run, examples, tmp_path, ema):
    """An easy problem is learnt, robustly, with raw and with averaged weights."""
    done = train_here(run, plan_for(PgdAt(attack=ATTACK), ema=ema), examples, tmp_path)
    assert len(done.history) == 3
    assert done.history[-1].clean == 1.0
    assert done.history[-1].robust == 1.0
    assert (done.average is None) == (ema is None)


def test_the_best_epoch_is_kept(run, examples, tmp_path):
    """`best` holds the weights of the epoch that did best on the held-out examples."""
    kept = {}

    def remember(now):
        kept[now.epoch - 1] = {name: value.clone() for name, value in now.kept.state_dict().items()}

    done = train_here(run, plan_for(Standard()), examples, tmp_path, on_epoch=remember)
    clean = [result.clean for result in done.history]
    assert clean[done.best_epoch] == max(clean)
    for name, value in kept[done.best_epoch].items():
        assert torch.equal(done.best[name], value)


def test_held_out_examples_are_not_trained_on(run, examples, tmp_path):
    """The labels of the held-out tenth have no influence on the weights."""
    first = train_here(run, plan_for(Standard()), examples, tmp_path).kept.state_dict()
    held = torch.randperm(400, generator=torch.Generator().manual_seed(0))[:40]
    labels = examples.labels.clone()
    labels[held] = 1 - labels[held]
    changed = dataclasses.replace(examples, labels=labels)
    second = train_here(new_run(), plan_for(Standard()), changed, tmp_path / "other").kept.state_dict()
    for name, value in first.items():
        assert torch.equal(second[name], value)


def test_a_loss_that_is_not_finite_stops_the_run(run, examples, tmp_path, monkeypatch):
    """Training stops at a loss that is not finite, and the snapshot holds the last good state."""
    monkeypatch.setattr(loop, "SNAPSHOT_WORTH", 0)
    with pytest.raises(WorkFailedError, match=r"The loss became nan in epoch 2, by step"):
        train_here(run, plan_for(Exploding()), examples, tmp_path)
    stored = torch.load(tmp_path / "run.snapshot.pt", weights_only=True)["state"]
    assert stored["epoch"] == 1
    assert all(value.isfinite().all() for value in stored["model"].values())


def test_a_snapshot_of_another_run_is_refused_by_name(run, examples, tmp_path):
    """A snapshot of another recipe is not continued; the message names what differs."""
    train_here(run, plan_for(Standard(), epochs=1), examples, tmp_path)
    run.identity = {**IDENTITY, "recipe": "other"}
    with pytest.raises(BenchError, match="its recipe is 'test', but this run's is 'other'"):
        train_here(run, plan_for(Standard(), epochs=1), examples, tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a snapshot", b"PK\x03\x04 cut off"])
def test_a_damaged_snapshot_is_refused(run, examples, tmp_path, content):
    """A damaged snapshot is one clear error, not a crash."""
    (tmp_path / "run.snapshot.pt").write_bytes(content)
    with pytest.raises(BenchError, match="is damaged"):
        train_here(run, plan_for(Standard(), epochs=1), examples, tmp_path)


def test_examples_that_make_no_batch_are_refused(run, examples, tmp_path):
    """Fewer examples than a batch are one clear error."""
    with pytest.raises(BenchError, match="Expected at least 512 examples to train on, one batch, but got 360"):
        train_here(run, plan_for(Standard(), batch_size=512), examples, tmp_path)


def test_as_many_epochs_as_fit(run, examples, tmp_path, monkeypatch):
    """With a time in place of a number, the epochs that fit are trained, and the learning rate falls to 0 with them."""
    monkeypatch.setattr(loop, "epochs_that_fit", lambda *_: 5)
    asked = []

    class Noted(OneCycle):
        def at(self, epoch, epochs):
            asked.append((epoch, epochs))
            return super().at(epoch, epochs)

    done = train_here(run, plan_for(Standard(), schedule=Noted(peak=0.1)), examples, tmp_path, seconds=4.0)
    assert done.epochs == len(done.history) == 5
    assert asked[-1] == (5 - 1 / 11, 5)


def test_a_run_that_goes_on_keeps_its_number_of_epochs(run, examples, tmp_path, monkeypatch):
    """A resumed run does not measure again: it ends after as many epochs as it chose, with the same weights."""
    monkeypatch.setattr(loop, "epochs_that_fit", lambda *_: 3)

    monkeypatch.setattr(loop, "SNAPSHOT_WORTH", 0)

    def stop(now):
        raise KeyboardInterrupt

    whole = train_here(run, plan_for(Standard()), examples, tmp_path, seconds=9.0)
    with pytest.raises(KeyboardInterrupt):
        train_here(new_run(), plan_for(Standard()), examples, tmp_path / "parts", seconds=9.0, on_epoch=stop)
    monkeypatch.setattr(loop, "epochs_that_fit", lambda *_: 7)
    resumed = train_here(new_run(), plan_for(Standard()), examples, tmp_path / "parts", seconds=9.0)
    assert resumed.epochs == len(resumed.history) == 3
    for name, value in whole.kept.state_dict().items():
        assert torch.equal(resumed.kept.state_dict()[name], value)


def test_a_time_that_is_too_short_is_refused(run, examples, tmp_path):
    """Where not one epoch fits, the message says how long one takes, and nothing is written."""
    with pytest.raises(BenchError, match=r"one epoch, but it takes about .* Allow more --minutes"):
        train_here(run, plan_for(Standard()), examples, tmp_path, seconds=0.01)
    assert not list(tmp_path.iterdir())


def test_the_pace_is_measured_without_a_trace(run, examples, tmp_path, monkeypatch):
    """The trial leaves the run as it was: the weights are those of a run whose number of epochs was given."""
    monkeypatch.setattr(pace, "TRIAL_SECONDS", 0.05)
    fitted = train_here(run, plan_for(PgdAt(attack=ATTACK)), examples, tmp_path, seconds=4.0)
    plan = plan_for(PgdAt(attack=ATTACK), epochs=fitted.epochs)
    given = train_here(new_run(), plan, examples, tmp_path / "given")
    for name, value in given.kept.state_dict().items():
        assert torch.equal(fitted.kept.state_dict()[name], value)


def test_snapshots_take_a_tenth_of_the_time_at_most(run, examples, tmp_path, monkeypatch):
    """Where writing takes long beside an epoch it is not done after each, but after the last one."""
    written = []

    def slowly(path, identity, state):
        written.append(state["epoch"])
        time.sleep(0.3)

    monkeypatch.setattr(loop.snapshot, "write", slowly)
    train_here(run, plan_for(Standard(), epochs=4), examples, tmp_path)
    assert written[0] == 0 and written[-1] == 4
    assert len(written) < 5
