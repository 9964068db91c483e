"""What a finished evaluation says about itself, without asking the model again: R4, R10, R13, R19."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.diagnostics.check import by_pairs, by_share, not_applicable, not_run
from bench.diagnostics.checks import r13_black_box, r19_claim
from bench.diagnostics.registry import CHECKS
from bench.evaluation import Evaluation
from bench.row import Accuracy, CheckResult, Diagnostic, Level

__all__ = ["JUDGED", "from_evaluation", "merged"]

JUDGED = ("R4", "R10", "R13", "R19")
BY_STRENGTH = ("fgsm", "pgd-20", "pgd-100")
BLACK_BOX = "square"


def from_evaluation(evaluation: Evaluation, *, claim: Accuracy | None, num_classes: int) -> tuple[Diagnostic, ...]:
    """Judge an evaluation by its own verdicts.

    Args:
        evaluation: what was found.
        claim: the clean accuracy that the checkpoint claims on these examples' split, or None.
        num_classes: of the dataset.
    """
    questions: tuple[Callable[[], CheckResult | None], ...] = (
        lambda: _finite(evaluation),
        lambda: _order(evaluation),
        lambda: _black_box(evaluation),
        lambda: r19_claim.judge(claim, evaluation.n_clean, evaluation.n_examples, num_classes),
    )
    findings = zip(JUDGED, map(_answered, questions), strict=True)
    return tuple(CHECKS.get(name).report(finding) for name, finding in findings if finding is not None)


def merged(first: Sequence[Diagnostic], second: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """One diagnostic per check, the worse of two, in the order of their numbers; one that did not run is no pass."""
    worse = (Level.NOT_APPLICABLE, Level.PASS, Level.WARN, Level.NOT_RUN, Level.FAIL)
    order = [level.value for level in worse]
    found: dict[str, Diagnostic] = {}
    for each in (*first, *second):
        known = found.get(each.id)
        if known is None or order.index(each.status) > order.index(known.status):
            found[each.id] = each
    return tuple(sorted(found.values(), key=lambda each: int(each.id[1:])))


def _answered(question: Callable[[], CheckResult | None]) -> CheckResult | None:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - a row without one of its checks says so; no row at all says nothing
        return not_run(error)


def _finite(evaluation: Evaluation) -> CheckResult | None:
    """What the attacks met; where they met nothing, the check's own look says more."""
    count = evaluation.n_nonfinite
    if not count:
        return None
    evidence = f"Logits were not finite for {count} of {evaluation.n_examples} examples, clean or attacked."
    return by_share(count, evaluation.n_examples, tolerated=0.0, evidence=evidence)


def _order(evaluation: Evaluation) -> CheckResult | None:
    verdicts = {attack.name: attack.robust for attack in evaluation.attacks}
    names = [name for name in BY_STRENGTH if name in verdicts]
    if len(names) < 2 or not evaluation.n_clean:
        return None
    counts = ", ".join(f"{name} {evaluation.n_clean - sum(verdicts[name])}" for name in names)
    evidence = f"Broken, of {evaluation.n_clean} correct examples: {counts}."
    steps = [
        by_pairs(
            _only(verdicts[weak], verdicts[strong]),
            _only(verdicts[strong], verdicts[weak]),
            evaluation.n_clean,
            evidence=evidence,
        )
        for weak, strong in itertools.pairwise(names)
    ]
    return max(steps, key=lambda found: (found.level is Level.FAIL, found.statistic or 0.0))


def _only(one: Sequence[bool], other: Sequence[bool]) -> int:
    """How many examples the first attack breaks and the second does not, given which withstand each."""
    return sum(kept and not withstood for withstood, kept in zip(one, other, strict=True))


def _black_box(evaluation: Evaluation) -> CheckResult | None:
    """What Square breaks of the examples that all other attacks left robust; None where no attack took gradients."""
    before: list[tuple[bool, ...]] = []
    names, took_gradients = set(), False
    for attack in evaluation.attacks:
        previous = evaluation.clean
        for stage in attack.stages:
            names.add(stage.name)
            if stage.name != BLACK_BOX:
                took_gradients |= stage.backwards > 0
                before.append(tuple(robust or not was for was, robust in zip(previous, stage.robust, strict=True)))
            previous = stage.robust
    if BLACK_BOX not in names or not took_gradients:
        return None
    left = [clean and all(kept) for clean, *kept in zip(evaluation.clean, *before, strict=True)]
    total = sum(left)
    if not total:
        return not_applicable("The gradient attacks broke every correct example, so nothing is left for Square.")
    count = sum(still and not robust for still, robust in zip(left, evaluation.robust, strict=True))
    evidence = f"Square breaks {count} of the {total} examples that all attacks with gradients left robust."
    found = by_share(count, total, tolerated=r13_black_box.TOLERATED, evidence=evidence)
    if found.level is Level.FAIL and not any(evaluation.robust):
        evidence = f"{evidence} In the end nothing is robust, and no attack leaves less."
        return replace(found, level=Level.WARN, evidence=evidence)
    return found
