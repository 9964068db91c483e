"""A stochastic model from its name to a row that can be verified; parts and workers find what one process does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.evaluation.execution.process_pool import ProcessPool
from bench.jobs.lookup import Lookup
from bench.jobs.probe import ProbeRequest, probe
from bench.jobs.run import RunRequest, run
from bench.jobs.second_opinion import attack
from bench.jobs.shards import Shard, merge, run_shard
from bench.jobs.verify import verify
from bench.leaderboard.compare import Cause
from bench.row import Level
from bench.row.serialization import result_bytes

NET = """
import torch
from torch import nn


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

    def forward(self, inputs):
        return self.body(inputs + 0.05 * torch.randn_like(inputs))


def quiet():
    return Noisy()


def declared():
    model = Noisy()
    model.stochastic = True
    return model
"""
SUITE = """
from bench.attacks import PGD, EoT, FrozenDraws
from bench.suites import AttackSuite

ENTRY = AttackSuite(
    name="short",
    version=1,
    stochastic=True,
    attacks=(
        EoT(name="eot-pgd", attack=PGD(steps=3), passes=3),
        FrozenDraws(name="frozen", attack=PGD(steps=2)),
    ),
)
"""


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    """Three chunks, under a short suite of the user's own."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "suite.py").write_text(SUITE)
    return RunRequest(
        model=f"{tmp_path / 'net.py'}:declared",
        dataset="digits",
        suite=f"{tmp_path / 'suite.py'}:ENTRY",
        batch_size=16,
        samples=140,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


def test_workers_and_shards_give_the_row_of_one_process(request_: RunRequest, tmp_path: Path) -> None:
    """Byte for byte: verdicts, margins, what is reported, and the diagnostics."""
    alone = run(request_)
    assert alone.record.unfinished == {}
    assert 0 < alone.record.result.n_robust < alone.record.result.n_clean
    with ProcessPool(["cpu", "cpu"], threads=1) as pool:
        other = replace(request_, journal=tmp_path / "workers", leaderboard=tmp_path / "second")
        assert result_bytes(run(other, pool=pool).record) == result_bytes(alone.record)
    parts = replace(request_, journal=tmp_path / "parts", leaderboard=tmp_path / "third")
    for number in (2, 1):
        run_shard(parts, Shard(number=number, count=2))
    assert result_bytes(merge(parts).record) == result_bytes(alone.record)
    assert run(replace(request_, journal=tmp_path / "again")).outcome.value == "reproduces"


def test_a_row_of_whole_chunks_is_extended(request_: RunRequest, tmp_path: Path) -> None:
    """A longer run agrees with it example by example, though the means over all examples are others."""
    assert run(replace(request_, samples=64)).outcome.value == "written"
    longer = run(replace(request_, samples=80, journal=tmp_path / "longer"))
    assert (longer.outcome.value, longer.n_before) == ("extended", 64)


def test_the_short_doctor_asks_what_has_an_answer(request_: RunRequest) -> None:
    """Checks that compare passes do not apply, and say why; the others ran, and none failed for the noise."""
    found = {each.id: each for each in run(replace(request_, samples=16)).record.result.diagnostics}
    assert {name for name, each in found.items() if "declared stochastic" in each.evidence} == {"R2", "R3"}
    assert {found[name].status for name in ("R2", "R3")} == {"not applicable"}
    assert "not applicable" not in {found[name].status for name in ("R8", "R14", "R21")}
    assert not [each.id for each in found.values() if each.failed]
    assert {found[name].status for name in ("R1", "R4", "R5", "R7")} == {"pass"}
    assert all(each.ran for each in found.values())


def test_a_row_of_a_model_that_is_declared_by_an_option_is_verified(request_: RunRequest, tmp_path: Path) -> None:
    """Its clean verdicts and its breaks hold when they are judged again; other attacks refuse the row."""
    quiet = replace(request_, model=f"{tmp_path / 'net.py'}:quiet", suite="rand-v1", samples=6)
    with pytest.raises(BenchError, match=r"is stochastic.*--stochastic.*--suite rand-v1"):
        run(quiet)
    with pytest.raises(BenchError, match=r"standard-v1 is for deterministic ones: choose --suite rand-v1"):
        run(replace(quiet, stochastic=True, suite="standard-v1"))
    ran = run(replace(quiet, stochastic=True))
    assert [each.name for each in ran.record.result.reported] == ["one-shot", "expected-accuracy"]
    assert ran.record.evidence is not None and ran.record.evidence.n_breaks > 0
    assert ran.path is not None
    lookup = Lookup(model=quiet.model, device="cpu")
    found = verify(ran.path, lookup)
    assert not [check for check in found.checks if check.level is Level.FAIL]
    assert found.n_robust == ran.record.result.n_robust
    (tmp_path / "net.py").write_text(NET.replace("0.05", "0.06"))
    (bad,) = (check for check in verify(ran.path, lookup).checks if check.level is Level.FAIL)
    assert bad.what == "fingerprint" and "another kind of device than the row's, cpu" in bad.evidence
    with pytest.raises(BenchError, match="stochastic model, and these attacks are for deterministic ones"):
        attack(ran.path, lookup)


def test_a_probe_repeats_a_row_of_stochastic_models(request_: RunRequest, tmp_path: Path) -> None:
    """Draws are seeded, so that nothing changes."""
    quiet = f"{tmp_path / 'net.py'}:quiet"
    row = run(replace(request_, model=quiet, suite="rand-v1", stochastic=True, samples=2)).record
    found = probe(ProbeRequest(record=row, n_examples=1, lookup=Lookup(model=quiet, device="cpu")))
    assert found.change.level is Level.PASS and found.change.cause is Cause.NOTHING
    assert found.record is not None and [each.name for each in found.record.result.reported] == [
        "one-shot",
        "expected-accuracy",
    ]
