"""Which precision a run searches in, and what decides it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from bench import suites
from bench.acceleration.forms import FastForms
from bench.attacks.autoattack import ApgdCe
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import ThreatModel
from bench.evaluation import cost_of, evaluate, make_plan, search_precision
from bench.evaluation.search_precision import (
    AUTO,
    FLOAT32,
    LADDER,
    MEASURED,
    Choice,
    choose_precision,
    precision_of_suite,
)

THREAT_MODEL = ThreatModel.parse("Linf:0.05")


class Net(nn.Module):
    """A small convolutional network on 1 x 4 x 4 inputs: 2,816 operations an example."""

    def __init__(self, *, picky: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.linear = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 16, 2)
        self.picky = picky
        self.eval().requires_grad_(False)

    def forward(self, inputs):
        if self.picky and inputs.dtype != torch.float32:
            raise TypeError("float32 only")
        return self.linear(torch.relu(self.conv(inputs)).flatten(1))


@pytest.fixture
def suite(make):
    """FGSM and a short APGD-CE on our own engine."""
    return make["suite"](FGSM(), ApgdCe(engine="fast", steps=5))


@pytest.fixture
def device(monkeypatch):
    """Say how large a model has to be, and whether this device has bfloat16."""

    def say(*, least: int, bfloat16: bool) -> None:
        monkeypatch.setattr(search_precision, "_LEAST_OPERATIONS", least)
        monkeypatch.setattr(search_precision, "has_bfloat16", lambda device: bfloat16)

    return say


@pytest.mark.parametrize("asked", [AUTO, MEASURED, LADDER, FLOAT32])
def test_a_choice_stays_open_where_an_attack_has_one(asked) -> None:
    """Our own AutoAttack searches in either precision."""
    assert precision_of_suite(asked, suites.get("standard-v1", engine="fast")).precision == asked


def test_pgd_has_the_choice_where_a_suite_gives_it(make) -> None:
    """Columns that stand beside those of papers keep float32; FGSM is one gradient, which gains nothing."""
    assert precision_of_suite(AUTO, make["suite"](PGD(verdict_only=True))).precision == AUTO
    assert precision_of_suite(AUTO, make["suite"](FGSM(), PGD())).precision == FLOAT32
    standard = suites.get("standard-v1").attacks
    assert not any(attack.finish for attack in standard if isinstance(attack, PGD))


def test_the_reference_engine_has_no_choice() -> None:
    """Float32, whether or not it was asked for by name; a lower precision, or an unknown one, is refused."""
    suite = suites.get("standard-v1", engine="reference")
    assert {precision_of_suite(asked, suite).precision for asked in (AUTO, MEASURED, FLOAT32)} == {FLOAT32}
    with pytest.raises(BenchError, match="--engine fast"):
        precision_of_suite(LADDER, suite)
    with pytest.raises(UnknownNameError, match=r"bf16\+float32"):
        precision_of_suite("bf16", suite)


@pytest.mark.parametrize(
    ("least", "bfloat16", "picky", "precision", "reason"),
    [
        (2816, True, False, LADDER, "rule: 0.0 million operations an example, cpu with bfloat16 instructions"),
        (2817, True, False, FLOAT32, "rule: 0.0 million operations an example, below 0.0 million"),
        (2816, False, False, FLOAT32, "rule: cpu without bfloat16 instructions"),
        (2816, True, True, FLOAT32, "rule: a model that answers otherwise in bfloat16"),
    ],
)
def test_the_rule_goes_by_model_and_device(examples, device, least, bfloat16, picky, precision, reason) -> None:
    """How much it computes, what the device can, and whether the model answers alike; in words for the row."""
    device(least=least, bfloat16=bfloat16)
    assert choose_precision(AUTO, FastForms(Net(picky=picky), examples.inputs), examples.inputs) == Choice(
        precision, reason
    )


def test_a_model_that_cannot_be_asked_is_left_in_float32(examples) -> None:
    """What is wrong with it is said where it is judged."""

    class Failing(nn.Module):
        def forward(self, inputs):
            raise RuntimeError("no")

    reason = "rule: a model whose operations cannot be counted"
    assert choose_precision(AUTO, FastForms(Failing(), examples.inputs), examples.inputs) == Choice(FLOAT32, reason)


@pytest.mark.parametrize(("factor", "wanted"), [(0.5, LADDER), (0.9, FLOAT32), (2.0, FLOAT32)])
def test_the_stopwatch_takes_what_is_faster_by_enough(examples, monkeypatch, factor, wanted) -> None:
    """The ladder's own steps have to be paid for, so a small gain is no gain."""
    seconds = lambda form, inputs: factor if type(form).__name__ == "Bfloat16" else 1.0  # noqa: E731
    monkeypatch.setattr(search_precision, "_seconds", seconds)
    assert choose_precision(MEASURED, FastForms(Net(), examples.inputs), examples.inputs) == Choice(wanted, "measured")
    assert choose_precision(MEASURED, FastForms(Net(picky=True), examples.inputs), examples.inputs).precision == FLOAT32


def test_a_resumed_run_keeps_what_its_journal_measured(examples, suite, tmp_path, monkeypatch) -> None:
    """The stopwatch decides once; another precision is refused by name, the rule's too."""
    answers = iter([LADDER, FLOAT32])
    monkeypatch.setattr(search_precision, "_faster", lambda *_: next(answers))
    arguments = {"threat_model": THREAT_MODEL, "suite": suite, "journal": tmp_path / "journal"}
    undecided = make_plan(Net(), examples, threat_model=THREAT_MODEL, suite=suite, precision=MEASURED)
    assert undecided.header.precision == MEASURED
    first = evaluate(Net(), examples[:30], **arguments, precision=MEASURED)
    again = evaluate(Net(), examples[:30], **arguments, precision=MEASURED)
    assert first.header == again.header
    assert (first.header.precision, first.header.precision_reason) == (LADDER, "measured")
    assert first.attacks[1].robust == again.attacks[1].robust
    for other in (FLOAT32, AUTO):
        with pytest.raises(BenchError, match=r"precision \(bf16\+float32 there, float32 here\)"):
            evaluate(Net(), examples[:30], **arguments, precision=other)
    by_name = evaluate(Net(), examples[:30], **arguments, precision=LADDER)
    assert by_name.header == first.header


def test_journal_and_row_say_what_decided(examples, suite, device, make, tmp_path) -> None:
    """A name, the rule, or that there was nothing to decide."""
    device(least=0, bfloat16=False)
    cases = {
        AUTO: (suite, "rule: cpu without bfloat16 instructions"),
        LADDER: (suite, "asked for"),
        FLOAT32: (suite, "asked for"),
        MEASURED: (make["suite"](FGSM()), "rule: no attack of the suite searches in less"),
    }
    for asked, (chosen, reason) in cases.items():
        folder = tmp_path / asked
        found = evaluate(Net(), examples[:20], threat_model=THREAT_MODEL, suite=chosen, journal=folder, precision=asked)
        header = json.loads((folder / "header.json").read_bytes().partition(b"\n")[2])
        assert header["precision_reason"] == cost_of(found).precision_reason == reason
        assert header["precision"] == cost_of(found).precision == (LADDER if asked == LADDER else FLOAT32)
