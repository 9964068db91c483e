"""Verdicts that hold by no more than rounding, when they are replayed."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench import data, leaderboard
from bench.core.types import Norm, ThreatModel
from bench.evaluation.confirm import Judge
from bench.jobs.replay import Replayed, count_again, replay_breaks, replay_clean
from bench.row.arrays.adversarials import Breaks
from bench.row.check_result import CheckResult, Level
from bench.row.packing import pack_verdicts


class Slope(nn.Module):
    """Two classes; the second wins where the first pixel is above one half, by ten thousand times the difference."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, inputs):
        score = (inputs[:, 0, 0, 0] - 0.5) + self.offset
        return torch.stack([1000 - score, 1000 + score], dim=1)


@pytest.fixture
def grey():
    """The digits data set, all grey and of class 0, with the record's indices."""
    dataset = data.load("digits")
    examples = dataset.examples[:4]
    flat = dataclasses.replace(
        examples, inputs=torch.full_like(examples.inputs, 0.5), labels=torch.zeros_like(examples.labels)
    )
    return dataclasses.replace(dataset, examples=flat)


def test_a_break_by_no_more_than_rounding_is_listed(grey):
    """Its margin is below what float32 can tell: it is marginal, whichever way it falls here."""
    breaks = Breaks(
        indices=np.array([1, 3]),
        labels=np.zeros(2, np.int64),
        predictions=np.ones(2, np.int64),
        margins=np.array([-1e-3, -1e-3], np.float32),
        rounded=np.ones(2, bool),
        deltas=np.ones((2, 1, 8, 8), np.int8),
        exact=np.empty((0, 1, 8, 8), np.float32),
    )
    threat_model = ThreatModel(norm=Norm.LINF, epsilon=Fraction(1, 10))
    for offset in (0.0, -0.0045):
        judge = Judge(Slope(offset), threat_model, device=torch.device("cpu"))
        replayed = replay_breaks(breaks, grey, judge, name="breaks")
        assert replayed.check.level is Level.PASS and replayed.confirmed == {1, 3}
        assert [(each.index, each.of) for each in replayed.marginal] == [(1, "break"), (3, "break")]


def test_a_clean_verdict_by_no_more_than_rounding_is_listed(grey, row):
    """It counts as the row says, and is no contradiction."""
    record = leaderboard.read(row)
    flags = (False, True, True, True)
    result = dataclasses.replace(
        record.result, n_examples=4, indices="0:4", n_clean=3, clean=pack_verdicts(flags), n_robust=3, attacks=()
    )
    threat_model = ThreatModel(norm=Norm.LINF, epsilon=Fraction(1, 10))
    judge = Judge(Slope(-1e-3), threat_model, device=torch.device("cpu"))
    replayed = replay_clean(dataclasses.replace(record, result=result), grey, judge)
    assert replayed.check.level is Level.PASS and replayed.confirmed == {1, 2, 3}
    assert [each.index for each in replayed.marginal] == [0, 1, 2, 3]
    judge = Judge(Slope(-1), threat_model, device=torch.device("cpu"))
    assert replay_clean(dataclasses.replace(record, result=result), grey, judge).check.level is Level.FAIL


def test_breaks_that_a_row_does_not_ship_are_taken_from_it():
    """The check says how many; a break that is shipped and does not hold still fails it."""

    def replayed(indices):
        check = CheckResult(what="x", level=Level.PASS, evidence="")
        return Replayed(check=check, confirmed=frozenset(indices), marginal=())

    result = SimpleNamespace(broken=lambda: {1, 2, 1500}, shown=lambda: {1, 2}, n_robust=7)
    record, clean = SimpleNamespace(result=result), replayed([*range(9), 1500])
    n_robust, check = count_again(record, clean, replayed([1, 2]))
    assert (n_robust, check.level) == (7, Level.PASS)
    assert "and 1 that are neither audited nor of the first 1,000, as the row has it, leaves 7" in check.evidence
    n_robust, check = count_again(record, clean, replayed([1]))
    assert (n_robust, check.level) == (8, Level.FAIL) and "no break of 2 holds" in check.evidence
