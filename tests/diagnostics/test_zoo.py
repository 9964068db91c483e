"""The zoo of models whose truth is known: every trap raises a doubt in a run, and no honest model is failed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench import models
from bench.attacks import PGD, ConstraintRelaxation
from bench.attacks.adaptive import Swift
from bench.attacks.autoattack import ApgdT, Square
from bench.core.types import AuditRules, ThreatModel
from bench.diagnostics import diagnose, diagnose_briefly, select
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.traps import HONEST, TRAPS, withstand
from bench.evaluation import evaluate
from bench.evaluation.model_guard import device_of, guarded
from bench.suites import AttackSuite

EASY = ThreatModel.parse("Linf:1/5")
"""Where attacks on the robust network break most, so that what a trap hides is much."""
NAMED = {
    "irrelevant gradient": ("R8",),
    "stiff solver": ("R8",),
    "batch size": ("R3",),
    "memorised test set": ("R21",),
    "logits' size": ("R6",),
    "inputs changed in place": ("R1",),
}
"""Which checks may name a kind; one of them has to."""
LITERATURE = "defence of the literature"
BY_NAME = {trap.name: trap for trap in TRAPS}


@pytest.fixture(scope="module")
def others(digits):
    return [models.load(name, dataset=digits).module for name in ("trades", "standard")]


def fresh(digits, n):
    """Copies: some traps change what they are given."""
    few = digits.examples[:n]
    return replace(few, inputs=few.inputs.clone())


def reported(module, examples):
    """What plain PGD leaves robust, all examples at once, as a run has it."""
    with guarded(module, device_of(module)):
        moved = PGD(verdict_only=True).perturb(module, replace(examples, inputs=examples.inputs.clone()), EASY, seed=0)
        clean = ~is_wrong(predict(module, examples.inputs.clone()), examples.labels)
        return clean & ~is_wrong(predict(module, moved.clone()), examples.labels)


def briefly(trap, base, digits, others):
    n = 64 if trap.kind == "batch size" else 32
    module = trap.build(base, fresh(digits, 64)).eval()
    robust = reported(module, fresh(digits, n)).tolist()
    found = diagnose_briefly(
        module, fresh(digits, n), threat_model=EASY, num_classes=10, surrogates=others, robust=robust
    )
    return {each.id: each for each in found}


def test_the_zoo_has_three_of_each_kind():
    """Names are unique, and every kind but the literature's has a check of its own."""
    assert len(BY_NAME) == len(TRAPS)
    kinds = {trap.kind for trap in TRAPS}
    assert kinds == {*NAMED, LITERATURE, HONEST}
    assert all(sum(trap.kind == kind for trap in TRAPS) >= 3 for kind in kinds)


@pytest.mark.parametrize("name", [trap.name for trap in TRAPS if trap.kind in NAMED])
def test_a_run_doubts_a_trap(name, base, digits, others):
    """The short form at least warns, and by a check that is about the kind."""
    trap = BY_NAME[name]
    found = briefly(trap, base, digits, others)
    doubts = {each.id: each.evidence for each in found.values() if each.status in ("warn", "fail")}
    assert doubts.keys() & NAMED[trap.kind], doubts
    assert found["R2"].status == "pass"


class Noisy(nn.Module):
    """A model behind noise, which it declares."""

    stochastic = True

    def __init__(self, base, size):
        super().__init__()
        self.base, self.size = base, size

    def forward(self, inputs):
        return self.base(inputs + self.size * torch.randn_like(inputs))


@pytest.mark.parametrize(
    ("name", "check"),
    [("one-hot and a linear term", "R8"), ("the nearest known image", "R21"), ("squeezed logits", "R6")],
)
def test_noise_hides_no_trap(name, check, base, digits, others):
    """With its draws held fixed it is the trap that it was."""
    trap = BY_NAME[name]
    noisy = replace(trap, build=lambda *given: Noisy(trap.build(*given), 1e-3))
    found = briefly(noisy, base, digits, others)
    assert found[check].status in ("warn", "fail"), found[check].evidence
    assert {each.id for each in found.values() if each.status == "not applicable"} >= {"R2", "R3"}


def test_honest_noise_fails_nothing(base, digits, others):
    """As long as the network stands it."""
    found = briefly(replace(BY_NAME["the network itself"], build=lambda *_: Noisy(base, 0.02)), base, digits, others)
    assert {each.id: each.evidence for each in found.values() if each.failed} == {}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("one-hot and a linear term", "of 16 audited examples broke"),
        ("classes that compete", "no gradient at 64 examples"),
        ("nearest neighbours", "margins broke"),
    ],
)
def test_an_audit_has_everything_tried_on_a_trap(name, why, base, digits):
    """Gradients that lead nowhere, or are none, and a misled cross-entropy: its own measurements say so."""
    stages = (ConstraintRelaxation(targets=2, cycles=2, rounds=1), ApgdT(steps=10, targets=2), Square(queries=200))
    swift = Swift(stages=stages, cascade_rules=AuditRules(rate=Fraction(1, 4)))
    suite = AttackSuite(name="short", version=1, attacks=(PGD(name="pgd-20"), swift))
    module = BY_NAME[name].build(base, fresh(digits, 64)).eval()
    found = evaluate(module, fresh(digits, 64), threat_model=EASY, suite=suite)
    assert found.audit is not None and why in found.audit.escalated
    assert found.audit.n_unaudited == 0


@pytest.mark.parametrize("name", ["CrossMax", "nearest neighbours", "purification", "temperature"])
def test_a_run_doubts_what_was_published(name, base, digits, others):
    """Whatever the check: the number would be too high."""
    found = briefly(BY_NAME[name], base, digits, others)
    assert [each.id for each in found.values() if each.failed]


@pytest.mark.parametrize("name", [trap.name for trap in TRAPS if trap.kind == HONEST])
def test_a_run_fails_no_honest_model(name, base, digits, others):
    """Nor one that is never right, nor one with the same answer to all images."""
    found = briefly(BY_NAME[name], base, digits, others)
    assert {each.id: each.evidence for each in found.values() if each.failed} == {}


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("one-hot and a linear term", "R8"),
        ("classes that compete", "R8"),
        ("no gradient for more than 63", "R3"),
        ("a table of coarse hashes", "R21"),
        ("the nearest known image, fading", "R21"),
        ("a thousandth of the logits", "R6"),
        ("squeezed logits", "R6"),
        ("shifted in place in company", "R1"),
    ],
)
def test_the_whole_doctor_fails_a_trap(name, check, base, digits):
    """By the check that is about its kind."""
    n = 64 if check == "R6" else 24
    module = BY_NAME[name].build(base, fresh(digits, n)).eval()
    wanted = [check] if check != "R1" else ["R1", "R4"]
    found = diagnose(module, fresh(digits, n), threat_model=EASY, num_classes=10, checks=wanted)
    assert found[0].id == check
    assert found[0].failed, found[0].evidence


@pytest.mark.parametrize("name", ["all zeros", "always the first class", "never right"])
def test_a_constant_is_a_remark_of_its_accuracy(name, base, digits):
    """Every other check passes or has nothing to look at."""
    module = BY_NAME[name].build(base, fresh(digits, 24)).eval()
    found = diagnose(module, fresh(digits, 24), threat_model=EASY, num_classes=10)
    assert [each.id for each in found] == [check.id for check in select()]
    assert {each.id: each.status for each in found if each.status not in ("pass", "not applicable")} == {"R19": "warn"}


@pytest.mark.parametrize("name", ["one-hot and waves", "the nearest known image"])
def test_the_truth_of_a_trap_is_below_what_is_reported(name, base, digits):
    """By far: he who knows it breaks what the network's own number says."""
    trap, examples = BY_NAME[name], fresh(digits, 64)
    module = trap.build(base, examples).eval()
    with guarded(module, device_of(module)):
        true = int(withstand(trap, module, base, fresh(digits, 64), EASY).sum())
    assert true <= 12 < 50 <= int(reported(module, examples).sum())
