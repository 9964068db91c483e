from __future__ import annotations

import pytest
import torch

from bench.attacks.autoattack import fast
from bench.attacks.autoattack.fast.inference import Bfloat16
from bench.attacks.autoattack.fast.ladder import climb
from bench.attacks.autoattack.stages import ApgdCe, ApgdT
from bench.core.types import ThreatModel
from bench.ops import norms

THREAT_MODEL = ThreatModel.parse("Linf:0.12")


def apgd(stage):
    return lambda classifier, examples: fast.apgd(classifier, examples, THREAT_MODEL, stage=stage, seed=0)


@pytest.mark.parametrize("stage", [ApgdCe(steps=30), ApgdT(steps=20)])
def test_no_fewer_breaks_hold_than_in_float32(net, digits, stage) -> None:
    """The ladder misses at most one break of the search in float32, and stays inside the ball."""
    plain = apgd(stage)(net, digits)
    climbed = climb(apgd(stage), Bfloat16(net), net, digits, THREAT_MODEL)
    broken = [net(each).argmax(1) != digits.labels for each in (plain, climbed.points)]
    assert (broken[0] & ~broken[1]).sum() <= 1
    assert norms.size(climbed.points - digits.inputs, THREAT_MODEL.norm).max() <= 0.12 + 1e-6
    assert climbed.n_claimed >= climbed.n_refused


def test_breaks_that_do_not_hold_are_refused_and_searched_again(net, digits) -> None:
    """Where the inexact model is wrong about everything, the exact search decides."""
    examples = digits[net(digits.inputs).argmax(1) == digits.labels]
    plain = apgd(ApgdCe(steps=30))(net, examples)
    climbed = climb(apgd(ApgdCe(steps=30)), lambda inputs: -net(inputs), net, examples, THREAT_MODEL)
    assert climbed.n_claimed == climbed.n_refused == len(examples)
    broken = [net(each).argmax(1) != examples.labels for each in (plain, climbed.points)]
    assert (broken[1] | ~broken[0]).all()


def test_survivors_are_polished_in_float32(net, digits) -> None:
    """Where the inexact model shows nothing, twenty margin steps still break examples and lower margins."""
    examples = digits[net(digits.inputs).argmax(1) == digits.labels]
    blind = climb(
        apgd(ApgdCe(steps=5)), lambda inputs: 20 * net(examples.inputs[: len(inputs)]), net, examples, THREAT_MODEL
    )
    assert blind.n_claimed == 0
    assert (net(blind.points).argmax(1) != examples.labels).any()


def test_an_empty_batch_costs_nothing(net, digits) -> None:
    """No examples, nothing to climb."""
    climbed = climb(apgd(ApgdCe(steps=5)), net, net, digits[:0], THREAT_MODEL)
    assert climbed.points.shape == torch.Size((0, 1, 8, 8))
    assert (climbed.n_claimed, climbed.n_refused) == (0, 0)
