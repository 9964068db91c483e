"""The checks that compare attacks, each with a case that it has to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from bench.attacks import SingleAttack
from bench.attacks.pgd import PGD
from bench.core.types import Norm, ThreatModel
from bench.diagnostics import Subject, select
from bench.diagnostics.checks import r19_claim
from bench.diagnostics.search import Found
from bench.models import Accuracy
from bench.ops import norms


class Levels(nn.Module):
    """Inputs in five levels: no gradient, though steps across a level change the answer."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        return self.base(torch.round(4 * inputs) / 4)


class HonestOnTheGrid(nn.Module):
    """A gradient that is true on clean images and turned round elsewhere: one step from there works, no second does."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        return self.base(_Turned.apply(inputs))


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(context, inputs):
        context.save_for_backward(inputs)
        return inputs.clone()

    @staticmethod
    def backward(context, slope):
        steps = 16 * context.saved_tensors[0]
        clean = (steps - steps.round()).abs().amax((1, 2, 3), keepdim=True) < 1e-3
        return torch.where(clean, slope, -slope)


@dataclass(frozen=True, kw_only=True)
class Overstepping(SingleAttack):
    """PGD that clips a little outside the ball."""

    name: str = "overstepping"

    def perturb(self, classifier, examples, threat_model, *, seed):
        moved = PGD(steps=3).perturb(classifier, examples, threat_model, seed=seed)
        return moved + 1e-4 * norms.direction(moved - examples.inputs, threat_model.norm)


@dataclass(frozen=True, kw_only=True)
class Forgetful(SingleAttack):
    """PGD that walks most of the way back before it returns."""

    name: str = "forgetful"

    def perturb(self, classifier, examples, threat_model, *, seed):
        moved = PGD(steps=5).perturb(classifier, examples, threat_model, seed=seed)
        return examples.inputs + 0.05 * (moved - examples.inputs)


@dataclass(frozen=True, kw_only=True)
class Idle(SingleAttack):
    """Returns the clean inputs."""

    norms: ClassVar[frozenset[Norm]] = frozenset(Norm)
    name: str = "idle"

    def perturb(self, classifier: Any, examples, threat_model, *, seed):
        return examples.inputs


@dataclass(frozen=True, kw_only=True)
class Crashing(SingleAttack):
    """Does not run."""

    name: str = "crashing"

    def perturb(self, classifier, examples, threat_model, *, seed):
        raise RuntimeError("no kernel\nfor this")


def test_a_larger_epsilon_that_breaks_no_more_is_found(base, examined):
    """Where rounding hides the gradient, not even epsilon 1/2 breaks everything."""
    assert examined(Levels(base), "R12")["R12"].status == "fail"


def test_one_step_that_beats_a_hundred_is_found(plain, examined, digits):
    """A gradient that misleads only those who start elsewhere."""
    found = examined(HonestOnTheGrid(plain), "R10", examples=digits.examples[:32])["R10"]
    assert found.status == "fail", found.evidence


@pytest.mark.parametrize("check", ["R9", "R11", "R13", "R20"])
def test_what_attacks_with_gradients_missed_is_found(check, plain, digits):
    """Where they found nothing in a large ball around a plain model, noise, steps, queries and seeds find breaks."""
    (chosen,) = select([check])
    assert chosen.examine(_unbroken(plain, digits)).level.value == "fail"


def test_transfer_that_beats_gradients_is_found(plain, base, digits):
    """A copy of the model, as surrogate, gives away what its own gradients did not; another model less."""
    (check,) = select(["R13"])
    evidence = check.examine(_unbroken(plain, digits, surrogates=(plain,))).evidence
    assert evidence.endswith("attacks on 1 other models break 12.")


def test_an_attack_that_forgets_its_breaks_is_found(plain, examined):
    """It showed them to the model, and returned something else."""
    assert examined(plain, "R15", attacks=[Forgetful()])["R15"].status == "fail"
    assert examined(plain, "R15", attacks=[PGD()])["R15"].status == "pass"


def test_an_attack_outside_the_ball_is_found(base, examined):
    """By a ten-thousandth; the evidence names it."""
    found = examined(base, "R16", attacks=[PGD(steps=3), Overstepping()])["R16"]
    assert found.status == "fail"
    assert "overstepping 24" in found.evidence and "pgd-20" not in found.evidence.partition(";")[0]


def test_breaks_that_hold_only_in_company_are_found(plain, examined):
    """A model that answers larger batches wrongly has breaks that are none alone."""

    class Crowded(nn.Module):
        def forward(self, inputs):
            logits = plain(inputs)
            return logits.roll(1, 1) if len(inputs) > 1 and bool((inputs * 16 % 1 > 1e-3).any()) else logits

    assert examined(Crowded(), "R16", attacks=[PGD(steps=1)])["R16"].status == "fail"


def test_an_attack_that_misses_what_is_planted_is_found(base, examined):
    """One that does nothing misses all of it; PGD misses none on an honest model, and all through rounding."""
    assert examined(base, "R17", attacks=[Idle()])["R17"].status == "fail"
    assert examined(base, "R17", attacks=[PGD(steps=5)])["R17"].statistic == 0
    assert examined(Levels(base), "R17", attacks=[PGD(steps=5)])["R17"].status == "fail"


@pytest.mark.parametrize("check", ["R15", "R16", "R17"])
def test_an_attack_that_crashes_is_a_finding(check, base, examined):
    """In one line, with the name of the attack."""
    found = examined(base, check, attacks=[Crashing()])[check]
    assert found.status == "fail"
    assert found.evidence == "Attack crashing cannot run on this model: RuntimeError: no kernel."


@pytest.mark.parametrize("check", ["R15", "R16", "R17"])
def test_without_attacks_there_is_nothing_to_judge(check, base, examined):
    """A check of attacks does not apply where none are given."""
    assert examined(base, check, attacks=[])[check].status == "not applicable"


def test_a_clean_accuracy_that_is_not_the_claimed_one_is_found(base, examined):
    """Inputs that are normalised twice; the claim is that of the checkpoint."""

    class Twice(nn.Module):
        def forward(self, inputs):
            return base((inputs - 0.5) / 0.5)

    claim = Accuracy(name="clean", checkpoint="best", split="test", n_examples=360, n_correct=357)
    assert examined(Twice(), "R19", claim=claim)["R19"].status == "fail"
    assert examined(base, "R19", claim=claim)["R19"].status == "pass"
    assert examined(base, "R19")["R19"].status == "not applicable"


def test_guessing_is_worth_a_warning(examined):
    """Without a claim, a model that always says 0 is no better than chance."""

    class Stubborn(nn.Module):
        def forward(self, inputs):
            return torch.eye(10)[0] + 0 * inputs.flatten(1)[:, :10]

    assert examined(Stubborn(), "R19")["R19"].status == "warn"


@pytest.mark.parametrize(
    ("right", "total", "num_classes", "status"),
    [
        (0, 8, 10, "warn"),
        (2, 32, 10, "warn"),
        (0, 1, 2, "warn"),
        (5, 8, 2, "warn"),
        (4, 8, 10, "not applicable"),
        (4, 4, 2, "not applicable"),
        (7, 8, 2, "not applicable"),
        (20, 100, 10, "not applicable"),
    ],
)
def test_few_examples_are_doubted_only_where_they_speak_for_guessing(right, total, num_classes, status):
    """A perfect score on four images of two classes is no accident; none right of eight may be one."""
    assert r19_claim.judge(None, right, total, num_classes).level == status


def _unbroken(module, digits, surrogates=()):
    """A subject on which the attacks with gradients are said to have found nothing."""
    subject = Subject(
        module=module,
        examples=digits.examples[:12],
        threat_model=ThreatModel.parse("Linf:1/2"),
        num_classes=10,
        surrogates=surrogates,
    )
    broken = torch.zeros(len(subject.correct), dtype=torch.bool)
    vars(subject)["white_box"] = Found(points=subject.correct.inputs, broken=broken)
    return subject


def test_in_l1_square_is_not_asked(base, plain, digits, examined):
    """It has no moves in L1; those of L2 leave the ball, and would find an honest model out."""
    examples, threat_model = digits.examples[:32], ThreatModel.parse("L1:1")
    alone = examined(base, "R13", examples=examples, threat_model=threat_model)["R13"]
    assert alone.status == "not applicable" and "Square does not know L1" in alone.evidence
    options = {"examples": examples, "threat_model": threat_model, "surrogates": (plain,)}
    beside = examined(base, "R13", **options)["R13"]
    assert beside.status != "fail" and "Square" not in beside.evidence
