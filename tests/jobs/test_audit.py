"""A suite that audits itself gives one result, however the work is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import leaderboard
from bench.core.errors import BenchError
from bench.jobs.run import RunRequest, run
from bench.jobs.shards import Shard, merge, run_shard
from bench.jobs.workers import Workers, start_workers
from bench.row import result_bytes

NET = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
"""
SUITE = """
from fractions import Fraction

from bench.attacks.autoattack import ApgdT, Square
from bench.attacks import ConstraintRelaxation
from bench.attacks import PGD
from bench.attacks.adaptive import Swift
from bench.core.types import AuditRules
from bench.suites import AttackSuite

STAGES = (ConstraintRelaxation(), ApgdT(steps=5, targets=2), Square(queries=20))
DOUBTING = AuditRules(rate=Fraction(1, 4), largest_gap=Fraction(0))
ENTRY = AttackSuite(
    name="audits",
    version=1,
    attacks=(PGD(name="pgd-20", steps=5), Swift(stages=STAGES, cascade_rules=AuditRules(rate=Fraction(1, 4)))),
)
ESCALATES = AttackSuite(
    name="escalates",
    version=1,
    attacks=(PGD(name="pgd-20", steps=1), Swift(stages=STAGES, cascade_rules=DOUBTING)),
)
"""


@pytest.fixture
def request_(tmp_path):
    """Three blocks of two chunks, the last one short; a few examples fall and a few withstand."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "suite.py").write_text(SUITE)
    return RunRequest(
        model=f"{tmp_path / 'net.py'}:make",
        dataset="digits",
        suite=f"{tmp_path / 'suite.py'}:ENTRY",
        threat_model="Linf:1/50",
        engine="fast",
        batch_size=16,
        samples=330,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


@pytest.mark.parametrize("entry", ["ENTRY", "ESCALATES"])
def test_one_process_workers_shards_and_a_kill_give_one_result(request_, tmp_path, entry):
    """Byte for byte, whether or not everybody is tried in the end."""
    request_ = replace(request_, suite=f"{tmp_path / 'suite.py'}:{entry}")
    alone = run(request_)
    audit = alone.record.result.audit
    assert audit is not None and 0 < audit.n_audited < alone.record.result.n_clean
    assert bool(audit.escalated) is (entry == "ESCALATES") and (audit.n_unaudited == 0) is bool(audit.escalated)
    expected = result_bytes(alone.record)

    def elsewhere(name):
        return replace(request_, journal=tmp_path / name, leaderboard=tmp_path / f"{name}-board")

    with start_workers(Workers(executor="local", count=2, devices=(), address=None), device="cpu") as pool:
        assert result_bytes(run(elsewhere("workers"), pool=pool).record) == expected

    def kill(event):
        if event.stage.startswith("square"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(elsewhere("killed"), on_progress=kill)
    assert result_bytes(run(elsewhere("killed")).record) == expected

    shards = elsewhere("shards")
    for number in (4, 2, 1, 3):
        run_shard(shards, Shard(number=number, count=4))
    if audit.escalated:  # by what one shard saw; the others could not know
        with pytest.raises(BenchError, match=r"rest .* is missing .* the same as `bench run --journal .*merged"):
            merge(shards)
        merged = run(replace(shards, journal=tmp_path / "shards" / "merged"))
    else:
        merged = merge(shards)
    assert result_bytes(merged.record) == expected


def test_a_longer_run_extends_a_shorter_one(request_):
    """The same examples are audited, so the rows agree on what both have."""
    run(replace(request_, samples=128))
    assert run(request_).outcome.value == "extended"


def test_the_evidence_of_an_audited_row_is_verified(request_, tmp_path):
    """A short row ships all breaks; they are found again where it is read."""
    ran = run(request_)
    record = leaderboard.read(ran.path)
    assert record.result.shown() == record.result.broken()
    assert record.evidence is not None and record.evidence.n_breaks == len(record.result.broken()) > 0
