"""Verdicts that hold by no more than rounding, when they are replayed."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from bench import data, leaderboard
from bench.core.types import Norm, ThreatModel
from bench.evaluation.confirm import Judge
from bench.jobs.replay import replay_breaks, replay_clean
from bench.row.arrays.adversarials import Breaks
from bench.row.check_result import Level
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
