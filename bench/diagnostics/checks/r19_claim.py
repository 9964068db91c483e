"""R19: is the clean accuracy the one that the checkpoint claims?

A wrong normalisation, another label order or other weights show here before any attack runs. Without a claim, a model
that does no better than guessing is worth a warning.
"""

from __future__ import annotations

from bench.core.statistics import binomial_tail
from bench.diagnostics.check import SIGNIFICANCE, Check
from bench.diagnostics.claim import contradiction
from bench.diagnostics.subject import Subject
from bench.row import Accuracy, CheckResult, Level

__all__ = ["ENTRY", "judge"]


def _examine(subject: Subject) -> CheckResult:
    if subject.is_constant:
        evidence = f"The model gives the same logits to every image, and is right of {len(subject.correct)} of them."
        return CheckResult(level=Level.WARN, statistic=len(subject.correct) / len(subject.examples), evidence=evidence)
    return judge(subject.claim, len(subject.correct), len(subject.examples), subject.num_classes)


def judge(claim: Accuracy | None, n_clean: int, n_examples: int, num_classes: int) -> CheckResult:
    """Hold a measured clean accuracy against the claim.

    Args:
        claim: on the split that the examples are of, or None.
        n_clean: examples that were classified correctly.
        n_examples: examples that were tried, at least 1.
        num_classes: of the dataset.
    """
    if claim is None:
        return _without_claim(n_clean, n_examples, num_classes)
    doubt = contradiction(claim, n_clean=n_clean, n_examples=n_examples)
    claimed = f"{claim.n_correct} of {claim.n_examples}"
    evidence = doubt or f"Clean accuracy is {n_clean} of {n_examples}, which fits the claimed {claimed}."
    level = Level.FAIL if doubt else Level.PASS
    return CheckResult(level=level, statistic=n_clean / n_examples, threshold=claim.fraction, evidence=evidence)


def _without_claim(right: int, total: int, num_classes: int) -> CheckResult:
    chance = 1 / num_classes
    evidence = f"Clean accuracy is {right} of {total}, and no manifest claims one to compare with."
    # OUR CHOICE: what is right more often than halfway from guessing to perfection is not doubted for being few.
    if right / total > (1 + chance) / 2 or binomial_tail(right, total, chance) < SIGNIFICANCE:
        return CheckResult(level=Level.NOT_APPLICABLE, statistic=right / total, evidence=evidence)
    evidence = f"Clean accuracy is {right} of {total}, not clearly better than guessing among {num_classes} classes."
    return CheckResult(level=Level.WARN, statistic=right / total, threshold=chance, evidence=evidence)


ENTRY = Check(
    id="R19",
    question="Is the clean accuracy the claimed one?",
    examine=_examine,
    next="Check the normalisation (inputs are in [0, 1]), the order of channels and of classes, labels and weights.",
    effort=1,
    needs_correct=False,
    of_stochastic="as it is",
)
