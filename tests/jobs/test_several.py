"""Several models in one run: a row each, whoever fails."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from bench.core.errors import BenchError, WorkFailedError
from bench.evaluation.execution.process_pool import ProcessPool
from bench.jobs.run import RunRequest, run
from bench.jobs.several import expand, requests_for, run_several
from bench.row.serialization import result_bytes

NETS = """
import os

import torch
from torch import nn


def first():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def second():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class Weak(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = second()

    def forward(self, inputs):
        if inputs.requires_grad and os.getpid() != int(os.environ["TESTED_DRIVER"]):
            raise RuntimeError("too much to bear")
        return self.inner(inputs)


def weak():
    return Weak()
"""


@pytest.fixture
def request_(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTED_DRIVER", str(os.getpid()))
    (tmp_path / "nets.py").write_text(NETS)
    return RunRequest(
        model="",
        dataset="digits",
        suite="quick-v1",
        engine="fast",
        samples=150,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


def test_two_workers_for_several_models_write_the_rows_of_one_process(request_, tmp_path):
    """Every row is that of its model alone; one that fails is told, and the others are whole."""
    names = [f"{tmp_path / 'nets.py'}:{name}" for name in ("first", "weak", "second")]
    requests = requests_for(request_, names)
    heard: list[tuple[str, int]] = []
    told: list[str] = []
    with ProcessPool(["cpu", "cpu"], threads=1) as pool:
        found = run_several(
            requests, notify=told.append, on_progress=lambda event: heard.append((event.attack, event.chunk)), pool=pool
        )
    assert isinstance(found[1], WorkFailedError) and "fgsm on chunk" in str(found[1])
    alone = requests_for(replace(request_, leaderboard=tmp_path / "other", journal=tmp_path / "alone"), names)
    for number in (0, 2):
        assert result_bytes(found[number].record) == result_bytes(run(alone[number]).record)
    models = [attack.rpartition(" ")[0] for attack, _ in heard]
    assert set(models) == set(names)
    assert models.index(names[2]) < len(models) - 1 - models[::-1].index(names[0]), "scheduled together"
    assert all(any(line.startswith(name) for name in names) for line in told)


def test_without_workers_one_follows_the_other(request_, tmp_path):
    """In the order in which they are named."""
    names = [f"{tmp_path / 'nets.py'}:{name}" for name in ("second", "first")]
    found = run_several(requests_for(replace(request_, samples=20), names))
    assert [ran.record.model.split("-")[1] for ran in found] == ["second", "first"]
    assert {path.name for path in (tmp_path / "journal").iterdir()} == {
        name.replace("/", "-").replace(":", "-").strip("-.") for name in names
    }


def test_all_is_every_model_with_a_checkpoint():
    """Of the zoo, for that dataset; other names may stand beside it."""
    assert "pgd-at" in expand(["all"], "digits") and len(expand(["all"], "digits")) > 1
    assert expand(["all", "net.py:make"], "digits")[-1] == "net.py:make"
    assert expand(["a", "b"], "anything") == ("a", "b")
    with pytest.raises(BenchError, match="No model of the zoo has a checkpoint for 'svhn'"):
        expand(["all"], "svhn")
    with pytest.raises(BenchError, match="'pgd-at' is named twice"):
        expand(["pgd-at", "all"], "digits")


def test_what_fits_one_model_alone_is_refused(request_, tmp_path):
    """Weights and budgets."""
    with pytest.raises(BenchError, match="--weights are those of one model"):
        requests_for(replace(request_, weights=tmp_path / "w.pt"), ["a", "b"])
    with pytest.raises(BenchError, match="--budget is that of one model"):
        requests_for(replace(request_, budget=5.0), ["a", "b"])
    (only,) = requests_for(replace(request_, budget=5.0), ["a"])
    assert only.model == "a" and only.journal == request_.journal


def test_without_workers_an_interruption_ends_the_run_at_once(request_, tmp_path, monkeypatch):
    """It reaches the model that is being attacked; none after it is begun."""
    begun = []

    def interrupted(request, **options):
        begun.append(threading.current_thread())
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.jobs.several.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_several(requests_for(request_, [f"{tmp_path / 'nets.py'}:first", f"{tmp_path / 'nets.py'}:second"]))
    assert begun == [threading.main_thread()]
