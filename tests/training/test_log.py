"""The TensorBoard log: every epoch once, also when a run was resumed."""

from __future__ import annotations

import pytest

from bench.training.log import EventLog
from bench.training.run import EpochResult

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def history(length: int, *, loss: float) -> list[EpochResult]:
    return [
        EpochResult(epoch=n, loss=loss - n, clean=0.5, robust=0.25 + n / 100, images_per_second=10.0, seconds=1.0)
        for n in range(length)
    ]


def read(folder) -> dict[str, list[tuple[int, float]]]:
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_each_epoch_is_one_point(tmp_path):
    """Epochs are counted from one, and each of the four curves has a point for each."""
    with EventLog(tmp_path / "log") as log:
        for length in (1, 2, 3):
            log.add(history(length, loss=9.0))
    assert read(tmp_path / "log") == {
        "loss": [(1, 9.0), (2, 8.0), (3, 7.0)],
        "held out/clean": [(1, 0.5), (2, 0.5), (3, 0.5)],
        "held out/PGD-10": [(1, 0.25), (2, 0.26), (3, 0.27)],
        "images per second": [(1, 10.0), (2, 10.0), (3, 10.0)],
    }


def test_a_resumed_run_leaves_no_gap_and_nothing_twice(tmp_path):
    """What an earlier run left in the folder is replaced by the history of the run that goes on."""
    with EventLog(tmp_path / "log") as log:
        log.add(history(1, loss=5.0))
        log.add(history(2, loss=5.0))
    with EventLog(tmp_path / "log") as log:
        log.add(history(3, loss=9.0))
        log.add(history(4, loss=9.0))
    assert read(tmp_path / "log")["loss"] == [(1, 9.0), (2, 8.0), (3, 7.0), (4, 6.0)]


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch):
    """Where TensorBoard is not installed, training goes on and says that there is no log."""
    monkeypatch.setattr("bench.training.log.find_spec", lambda name: None)
    with EventLog(tmp_path / "log") as log:
        log.add(history(1, loss=1.0))
    assert not log.available
    assert not (tmp_path / "log").exists()
