"""What a probe says of a model, an attack or an arithmetic that was tampered with, on 64 examples."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import models
from bench.attacks.pgd import PGD
from bench.attacks.search.step_rules import HalvingStep
from bench.core.errors import BenchError
from bench.jobs.lookup import Lookup
from bench.jobs.probe import Probed, ProbeRequest, probe
from bench.jobs.run import RunRequest, run
from bench.leaderboard.compare.agreement import Cause
from bench.row.check_result import Level
from bench.row.record import Record

N_EXAMPLES = 64


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A published row of a shipped model: 64 digits, our own engine."""
    root = tmp_path_factory.mktemp("published")
    request = RunRequest(
        model="pgd-at",
        dataset="digits",
        suite="quick-v1",
        samples=N_EXAMPLES,
        engine="fast",
        precision="float32",
        device="cpu",
        leaderboard=root / "board",
        journal=root / "journal",
    )
    return run(request).record


def probed(row: Record, **change: Any) -> Probed:
    """What a probe finds of the first examples."""
    return probe(ProbeRequest(record=row, n_examples=N_EXAMPLES, lookup=Lookup(device="cpu", **change)))


class Rounded(nn.Module):
    """The same network with other roundings."""

    def __init__(self, inner: nn.Module, kind: str) -> None:
        super().__init__()
        self.inner = inner.double() if kind == "float64" else inner
        self.kind = kind

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.kind == "float64":
            return self.inner(inputs.double()).float()
        logits = self.inner(inputs)
        return logits + (torch.round(logits * 128) / 128 - logits).detach()


def plant(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let every model be changed after it was loaded, so that its digest does not tell."""
    load = models.load

    def loaded(*arguments: Any, **options: Any) -> models.LoadedModel:
        model = load(*arguments, **options)
        return dataclasses.replace(model, module=change(model.module))

    monkeypatch.setattr(models, "load", loaded)


def one_buffer(module: nn.Module) -> nn.Module:
    """One batch norm's running mean is off, in one channel."""
    layer = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    layer.running_mean[0] += 0.5
    return module


def test_nothing_changed(row: Record) -> None:
    """The same code on the same machine gives the same verdicts, margins and passes."""
    change, record = probed(row)
    assert (change.level, change.cause) == (Level.PASS, Cause.NOTHING)
    assert record.result.n_examples == N_EXAMPLES


@pytest.mark.parametrize("kind", ["float64", "coarse"])
def test_another_rounding_is_no_finding(row: Record, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The same function in another arithmetic moves margins a little and in no direction."""
    plant(monkeypatch, lambda module: Rounded(module, kind))
    change = probed(row).change
    assert (change.level, change.cause in (Cause.NOTHING, Cause.ROUNDING)) == (Level.PASS, True), change.evidence


def test_a_changed_buffer_is_the_models(row: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the digest of the weights is the published one."""
    plant(monkeypatch, one_buffer)
    change = probed(row).change
    assert (change.level, change.cause) == (Level.FAIL, Cause.MODEL)
    assert "the model changed" in change.evidence


def test_an_apgd_that_never_halves_its_step_is_an_attacks(row: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its verdicts hardly tell; its margins do, and no other attack is blamed."""
    monkeypatch.setattr(HalvingStep, "check", lambda self, current, gradient, *, window: (current, gradient))
    change = probed(row).change
    assert (change.level, change.cause) == (Level.FAIL, Cause.ATTACK)
    assert "apgd-ce: " in change.evidence and "pgd-20: " not in change.evidence and "fgsm: " not in change.evidence


def forwards_of_pgd(message: str) -> tuple[float, float]:
    """Passes forwards an example, there and here: fewer than steps and one, since broken examples stop."""
    found = re.search(r"pgd-20: .*passes an example: ([\d.]+) and [\d.]+ there, ([\d.]+) and [\d.]+ here", message)
    assert found is not None, message
    return float(found[1]), float(found[2])


def test_a_pgd_of_five_steps_is_an_attacks(row: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of twenty: its passes tell, and so do its margins."""
    perturb = PGD.perturb
    monkeypatch.setattr(
        PGD,
        "perturb",
        lambda self, *arguments, **options: perturb(dataclasses.replace(self, steps=5), *arguments, **options),
    )
    change = probed(row).change
    assert (change.level, change.cause) == (Level.FAIL, Cause.ATTACK)
    there, here = forwards_of_pgd(change.evidence)
    assert here <= 6 < 15 < there <= 21
    assert "fgsm: " not in change.evidence and "apgd-ce: " not in change.evidence


def test_a_stronger_attack_is_as_suspicious(row: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are the same, so lower robust accuracy means that something changed, too."""
    perturb = PGD.perturb
    monkeypatch.setattr(
        PGD,
        "perturb",
        lambda self, *arguments, **options: perturb(dataclasses.replace(self, steps=100), *arguments, **options),
    )
    change = probed(row).change
    assert (change.level, change.cause) == (Level.FAIL, Cause.ATTACK)
    there, here = forwards_of_pgd(change.evidence)
    assert there <= 21 < 80 < here <= 101


def test_other_weights_under_the_shipped_name_are_the_models(row: Record) -> None:
    """The row is of weights that are not shipped any more."""
    stale = dataclasses.replace(row, digests=dataclasses.replace(row.digests, model="0" * 64))
    change = probed(stale).change
    assert (change.level, change.cause) == (Level.FAIL, Cause.MODEL)
    assert "its weights are not those of the row" in change.evidence


@pytest.mark.parametrize(("scale", "level"), [(1.0, Level.WARN), (0.0, Level.FAIL)])
def test_a_new_checkpoint_may_not_be_significantly_worse(
    row: Record, tmp_path: Path, scale: float, level: Level
) -> None:
    """A user's own weights in place of the row's: as good passes, broken fails."""
    weights = tmp_path / "new.pth"
    state = models.load("pgd-at", dataset=_digits()).module.state_dict()
    last = [name for name, value in state.items() if value.ndim == 2][-1]
    torch.save({**state, last: state[last] * scale + 1e-6}, weights)
    change = probed(row, model="pgd-at", weights=weights).change
    assert change.level is level and change.evidence.startswith("a new checkpoint: ")


def test_data_that_is_not_here_cannot_be_probed(row: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample in its place would compare other images."""
    monkeypatch.setattr("bench.jobs.probe.run", _sampled)
    with pytest.raises(BenchError, match=r"digits is not here.*--data-dir"):
        probed(row)


def _sampled(*arguments: Any, **options: Any) -> Any:
    from bench.jobs.run import Outcome, Ran

    empty: Any = None
    return Ran(
        evaluation=empty,
        record=empty,
        outcome=Outcome.SAMPLE,
        path=None,
        differences=(),
        notice="x",
        warnings=(),
        extent=empty,
    )


def _digits() -> Any:
    from bench import data

    return data.load("digits")
