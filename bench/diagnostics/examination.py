"""Runs checks on a model, what matters most first; a failure of the model is a finding, one of a check is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core.structure import is_stochastic
from bench.diagnostics.check import Check, not_applicable, not_run
from bench.diagnostics.deadline import ModelFailedError, OutOfTimeError
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Diagnostic, Level

__all__ = ["Examined", "examine", "overall", "unexamined"]

# OUR CHOICE: a check may take twice its share of the time that is left, since shares are estimates, and a tenth of it
# however small its share is, so that no cheap check is cut short.
# What matters most comes first: is it the function that is attacked, and do the attacks see it? R1 and R2 look last.
_FIRST = ("R5", "R14", "R3", "R8", "R13", "R6", "R21", "R7", "R12", "R4", "R10", "R18", "R9", "R19", "R11", "R20")
_MOST_SHARES = 2.0
_LEAST_SHARE = 0.1
_OF_ANY_ANSWER = ("R2", "R4", "R19")
"""Checks of which the answer counts though the model gives one answer to all images."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """How far an examination is, told after every check.

    Args:
        check: the check that is done.
        diagnostic: what it found.
        n_done: checks done.
        n_checks: checks in all.
        seconds: since the start.
        eta: seconds that the rest will take, by the effort done so far.
        following: the check that runs next, or None.
    """

    check: Check
    diagnostic: Diagnostic
    n_done: int
    n_checks: int
    seconds: float
    eta: float
    following: Check | None


def examine(
    subject: Subject,
    checks: Sequence[Check],
    *,
    seconds: float | None = None,
    listener: Callable[[Examined], None] | None = None,
) -> tuple[Diagnostic, ...]:
    """Run `checks` and return what they found, in the order of their numbers.

    Args:
        subject: the model, lent.
        checks: those to run.
        seconds: time for all of them; what it did not suffice for is "not run". None for as long as it takes.
        listener: told after every check.
    """
    order = sorted(checks, key=lambda check: (check.last, _rank(check)))
    start = time.monotonic()
    found: list[tuple[int, Diagnostic]] = []
    for position, check in enumerate(order):
        effort = _effort(check, subject)
        rest = sum(_effort(each, subject) for each in order[position:])
        if seconds is not None:
            left = max(0.0, seconds - (time.monotonic() - start))
            subject.deadline.allow(left * min(1.0, max(_LEAST_SHARE, _MOST_SHARES * effort / rest)))
        diagnostic = check.report(_finding(check, subject))
        found.append((check.number, diagnostic))
        if listener is not None:
            passed = time.monotonic() - start
            done = sum(_effort(each, subject) for each in order[: position + 1])
            event = Examined(
                check=check,
                diagnostic=diagnostic,
                n_done=position + 1,
                n_checks=len(order),
                seconds=passed,
                eta=passed * (rest - effort) / done if done else 0.0,
                following=order[position + 1] if position + 1 < len(order) else None,
            )
            listener(event)
    subject.deadline.allow(None)
    return tuple(diagnostic for _, diagnostic in sorted(found, key=lambda pair: pair[0]))


def _rank(check: Check) -> tuple[int, int]:
    """Its place in the order."""
    return (_FIRST.index(check.id) if check.id in _FIRST else len(_FIRST), check.number)


def _effort(check: Check, subject: Subject) -> float:
    """Passes per example in the form in which the subject is looked at."""
    return check.effort if subject.thorough or check.short is None else check.short


def overall(diagnostics: Sequence[Diagnostic]) -> Level:
    """The worst level: fail before not run before warn before pass."""
    statuses = {diagnostic.status for diagnostic in diagnostics}
    worst = (Level.FAIL, Level.NOT_RUN, Level.WARN)
    return next((level for level in worst if level.value in statuses), Level.PASS)


def unexamined(checks: Sequence[Check], error: Exception) -> tuple[Diagnostic, ...]:
    """What a row says of checks that a failure kept from running, all of them."""
    return tuple(check.report(not_run(error)) for check in checks)


def _finding(check: Check, subject: Subject) -> CheckResult:
    try:
        if is_stochastic(subject.module) and check.of_stochastic == "nothing":
            return not_applicable("The model is declared stochastic, and this check needs passes that do not differ.")
        if check.of_stochastic == "held draws":
            subject = subject.held
        if check.needs_logits and not subject.is_readable:
            return not_applicable("The outputs cannot be read as logits of the dataset's classes (see R5).")
        if check.needs_logits and check.needs_correct and not len(subject.correct):
            return not_applicable("No example is classified correctly, so there is nothing to attack.")
        if check.needs_logits and check.id not in _OF_ANY_ANSWER and subject.is_constant:
            return not_applicable("The model gives the same logits to every image, so no attack changes its answer.")
        return check.examine(subject)
    except OutOfTimeError:
        return CheckResult(
            level=Level.NOT_RUN,
            evidence="not run: the time ran out before it had an answer.",
            next="Run this check again with more time or fewer examples.",
        )
    except ModelFailedError as error:
        return CheckResult(level=Level.FAIL, evidence=f"The model raises {error}.")
    except Exception as error:  # noqa: BLE001 - one check that fails costs neither the others nor the attacks' result
        return not_run(error)
