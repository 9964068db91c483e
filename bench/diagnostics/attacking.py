"""Runs an attack whose numbers are to be believed; that it cannot run on the model is a finding."""

from __future__ import annotations

from torch import Tensor, nn

from bench.core.plain_text import reason_of
from bench.core.types import Attack, Examples
from bench.diagnostics.deadline import ModelFailedError, OutOfTimeError
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Level

__all__ = ["perturbed"]


def perturbed(attack: Attack, classifier: nn.Module, examples: Examples, subject: Subject) -> Tensor | CheckResult:
    """Return one candidate per example `(N, C, H, W)`, as the attack returns it, or the failure as a finding.

    Args:
        attack: the attack, with its own seed and steps.
        classifier: what it attacks.
        examples: on which examples.
        subject: gives threat model and seed.
    """
    try:
        return attack.perturb(classifier, examples, subject.threat_model, seed=subject.seed)
    except (ModelFailedError, OutOfTimeError):
        raise
    except Exception as error:  # noqa: BLE001 - an attack may raise anything; the finding says what
        evidence = f"Attack {attack.name} cannot run on this model: {reason_of(error)}."
        return CheckResult(level=Level.FAIL, evidence=evidence)
