"""What a check is: a question about a model, how it is answered, and what to run next where the answer is bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.core.plain_text import reason_of
from bench.core.statistics import binomial_tail
from bench.row import CheckResult, Diagnostic, Level

if TYPE_CHECKING:
    from bench.diagnostics.subject import Subject

__all__ = ["SIGNIFICANCE", "Check", "by_pairs", "by_share", "is_significant", "not_applicable", "not_run", "worse"]

# OUR CHOICE: on 128 to 512 examples a fraction of a point is one or two examples, which prove nothing.
LEAST = 3
SIGNIFICANCE = 0.01
_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Check:
    """One file of `bench.diagnostics.checks`.

    Args:
        id: "R8".
        question: what it asks, in a few words; a bad model is one of which the answer is no.
        examine: answers it.
        next: what to run where the answer is bad.
        effort: passes through the model per example, roughly: its share of the time.
        short: the same in the short form, which is part of every `bench run`; None where it is no part of it.
        last: looks at the model after all other checks have used it.
        needs_logits: without outputs that can be read as logits it does not apply.
        needs_correct: without an example that is classified correctly it does not apply.
        of_stochastic: what it looks at of a model that draws random numbers: the model as it is, the same with its
            draws held fixed, or nothing, where that would tell nothing of it.
    """

    id: str
    question: str
    examine: Callable[[Subject], CheckResult]
    next: str
    effort: float
    short: float | None = None
    last: bool = False
    needs_logits: bool = True
    needs_correct: bool = True
    of_stochastic: Literal["as it is", "held draws", "nothing"] = "held draws"

    @property
    def number(self) -> int:
        """Its place in the table: 8 for "R8"."""
        return int(self.id[1:])

    def report(self, found: CheckResult) -> Diagnostic:
        """What was found as a row stores it; its numbers are rounded so that repeated runs store the same."""
        bad = found.level in (Level.WARN, Level.FAIL, Level.NOT_RUN)
        return Diagnostic(
            id=self.id,
            status=found.level.value,
            statistic=_rounded(found.statistic),
            threshold=_rounded(found.threshold),
            evidence=found.evidence,
            next=(found.next or self.next) if bad else "",
        )


def is_significant(count: int, chance: float) -> bool:
    """Whether so many bad examples, with so small a chance, are a finding."""
    return count >= LEAST and chance < SIGNIFICANCE


def by_share(bad: int, total: int, *, tolerated: float, evidence: str, worst: Level = Level.FAIL) -> CheckResult:
    """Judge `bad` of `total` examples where a share of them is tolerated.

    Args:
        bad: examples that speak against the model.
        total: examples that were looked at.
        tolerated: share in [0, 1] that honest models may show, by rounding or by the limits of the method.
        evidence: the sentence.
        worst: the level of what is significant.
    """
    if not total:
        return not_applicable(evidence)
    if is_significant(bad, binomial_tail(bad, total, tolerated)):
        level = worst
    else:
        level = Level.WARN if bad > tolerated * total else Level.PASS
    return CheckResult(level=level, statistic=bad / total, threshold=tolerated, evidence=evidence)


def by_pairs(more: int, less: int, total: int, *, evidence: str, worst: Level = Level.FAIL) -> CheckResult:
    """Judge a comparison of two attacks on the same examples, by the exact sign test.

    Args:
        more: examples that only the attack breaks that should be the weaker one.
        less: examples that only the other one breaks.
        total: examples that were looked at.
        evidence: the sentence.
        worst: the level of what is significant.
    """
    if not total:
        return not_applicable(evidence)
    found = is_significant(more, binomial_tail(more, more + less, 0.5))
    return CheckResult(
        level=worst if found else Level.PASS, statistic=(more - less) / total, threshold=0.0, evidence=evidence
    )


def worse(first: CheckResult, second: CheckResult) -> CheckResult:
    """What says more against the model; the first where they are alike."""
    order = (Level.NOT_APPLICABLE, Level.PASS, Level.WARN, Level.NOT_RUN, Level.FAIL)
    return second if order.index(second.level) > order.index(first.level) else first


def not_applicable(why: str) -> CheckResult:
    """What a check says that has nothing to look at."""
    return CheckResult(level=Level.NOT_APPLICABLE, evidence=why)


def not_run(error: Exception) -> CheckResult:
    """What a check says that failed itself: no word about the model, and surely not that it passed."""
    evidence = f"not run: {reason_of(error)}"
    return CheckResult(level=Level.NOT_RUN, evidence=evidence, next="Run the same command again, or report this.")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
