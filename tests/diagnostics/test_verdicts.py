"""What a finished evaluation says about itself."""

from __future__ import annotations

import pytest

from bench.core.types import ThreatModel
from bench.diagnostics import from_evaluation, merged
from bench.evaluation import AttackOutcome, Evaluation, StageResult
from bench.row.record import Diagnostic

N = 40


def stage(name, n_robust, backwards=1):
    verdicts = tuple(number < n_robust for number in range(N))
    none = (False,) * N
    return StageResult(
        name=name,
        attacked=(True,) * N,
        robust=verdicts,
        margin=(0.0,) * N,
        finite=(True,) * N,
        right=tuple(map(int, verdicts)),
        moved=none,
        claimed=none,
        rejected=none,
        batch_size=64,
        backwards=0 if name == "square" else backwards,
    )


def attack(name, *stages):
    return AttackOutcome(name=name, parameters={}, margin=(0.0,) * N, stages=stages)


def evaluation(*attacks, n_nonfinite=0):
    return Evaluation(
        header=None,
        threat_model=ThreatModel.parse("Linf:1/10"),
        device="cpu",
        indices=tuple(range(N)),
        clean=(True,) * N,
        clean_margin=(1.0,) * N,
        attacks=attacks,
        finite=(False,) * n_nonfinite + (True,) * (N - n_nonfinite),
        batch_size=64,
        breaks=(),
    )


def found(*attacks, **options):
    diagnostics = from_evaluation(evaluation(*attacks, **options), claim=None, num_classes=10)
    return {each.id: each for each in diagnostics}


@pytest.mark.parametrize(("after_square", "status"), [(20, "pass"), (19, "warn"), (17, "fail")])
def test_square_must_not_break_what_gradients_left(after_square, status):
    """Of 20 survivors, three are a finding."""
    ensemble = attack("autoattack", stage("apgd-ce", 25), stage("fab-t", 20), stage("square", after_square))
    diagnostic = found(ensemble)["R13"]
    assert diagnostic.status == status
    assert f"Square breaks {20 - after_square} of the 20" in diagnostic.evidence


def test_a_number_of_zero_is_no_upper_bound():
    """Gradients misled, and yet nothing is left: a warning, since no attack leaves less."""
    ensemble = attack("autoattack", stage("apgd-ce", 25), stage("fab-t", 3), stage("square", 0))
    diagnostic = found(ensemble)["R13"]
    assert diagnostic.status == "warn" and "nothing is robust" in diagnostic.evidence


def test_what_another_attack_broke_too_is_no_news():
    """Square's breaks count where nothing else breaks them."""
    ensemble = attack("autoattack", stage("apgd-ce", 25), stage("square", 15))
    assert found(ensemble, attack("cw", stage("cw", 15)))["R13"].status == "pass"


def test_nothing_left_for_square_does_not_apply():
    """Where gradients broke everything."""
    assert found(attack("autoattack", stage("apgd-ce", 0), stage("square", 0)))["R13"].status == "not applicable"


@pytest.mark.parametrize(("one_step", "many", "status"), [(20, 10, "pass"), (20, 20, "pass"), (10, 20, "fail")])
def test_one_step_must_not_beat_many(one_step, many, status):
    """FGSM against PGD-20, by the sign test."""
    assert (
        found(attack("fgsm", stage("fgsm", one_step)), attack("pgd-20", stage("pgd-20", many)))["R10"].status == status
    )


def test_what_a_suite_does_not_hold_is_not_judged():
    """One attack has no order, and no Square no R13."""
    assert set(found(attack("fgsm", stage("fgsm", 10)))) == {"R19"}


def test_logits_that_were_not_finite_are_told():
    """As a failure from three examples on."""
    assert found(attack("fgsm", stage("fgsm", 10)), n_nonfinite=3)["R4"].status == "fail"


def test_the_worse_of_two_answers_counts():
    """In the order of the numbers."""

    def answer(name, status):
        return Diagnostic(id=name, status=status, statistic=None, threshold=None, evidence="", next="")

    both = merged(
        [answer("R10", "pass"), answer("R4", "pass")], [answer("R4", "fail"), answer("R10", "not applicable")]
    )
    assert [(each.id, each.status) for each in both] == [("R4", "fail"), ("R10", "pass")]


def test_square_beside_attacks_that_took_no_gradient_is_no_finding():
    """A black-box suite: that Square breaks what transfer left says nothing about gradients."""
    transfer, square = attack("transfer", stage("transfer", 20, backwards=0)), attack("square", stage("square", 10))
    assert "R13" not in found(transfer, square)
    assert found(attack("cw", stage("cw", 20)), square)["R13"].status == "fail"
