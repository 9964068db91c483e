"""R11: have the attacks converged?

More steps and another start must find next to nothing that is new; a curve that still falls says that the true number
is lower (NoFrost: APGD-CE 12.0 % after 20 steps, 5.3 % after 100, AutoAttack 1.3 %).
"""

from __future__ import annotations

from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult

__all__ = ["ENTRY"]

AUDITED = 64
AUDITS = (
    Search(name="audit-ce", objective=losses.cross_entropy, steps=200, step=1 / 20),
    Search(name="audit-margin", objective=losses.negative_margin, steps=100, step=1 / 8),
)
TOLERATED = 0.01
"""Of all correct examples: points of accuracy."""


def _examine(subject: Subject) -> CheckResult:
    left = subject.white_box.left[:AUDITED]
    if not len(left):
        return not_applicable("The attacks broke every correct example, so there is nothing left to converge.")
    examples = subject.correct[left]
    broken = subject.search(AUDITS[0], examples).broken | subject.search(AUDITS[1], examples).broken
    count = int(broken.sum())
    evidence = f"300 more steps from two other starts break {count} of {len(left)} examples that were left robust."
    return by_share(count, len(subject.correct), tolerated=TOLERATED, evidence=evidence)


ENTRY = Check(
    id="R11",
    question="Do more steps and restarts find nothing new?",
    examine=_examine,
    next="Attack with 1,000 steps and 10 restarts, until the number of broken examples stops growing.",
    effort=150,
)
