"""R15: does the attack return the break that it saw?

An attack that hands back its last iterate, or stops by its own idea of success, loses breaks on the way (Pintor et al.
2022, arXiv 2106.09947: "silent success"). Every point that it shows the model is watched.
"""

from __future__ import annotations

from bench.diagnostics.attacking import perturbed
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.path import Path
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.subject import Subject
from bench.row import CheckResult

__all__ = ["ENTRY"]

AUDITED = 32


def _examine(subject: Subject) -> CheckResult:
    examples = subject.correct[:AUDITED]
    counts = {}
    for attack in subject.attacks:
        path = Path(subject.classifier, examples, subject.threat_model)
        outcome = perturbed(attack, path, examples, subject)
        if isinstance(outcome, CheckResult):
            return outcome
        returned = is_wrong(predict(subject.classifier, outcome), examples.labels)
        counts[attack.name] = int((path.broken & ~returned).sum())
    if not counts:
        return not_applicable("There is no attack to look at.")
    each = ", ".join(f"{name} {count}" for name, count in counts.items())
    evidence = f"Breaks that an attack saw and did not return, of {len(examples)} examples: {each}."
    return by_share(max(counts.values()), len(examples), tolerated=0.0, evidence=evidence)


ENTRY = Check(
    id="R15",
    question="Does every attack return the break that it saw?",
    examine=_examine,
    next="Let the attack keep the iterate of smallest margin, judged by the model's class, and run it again.",
    effort=60,
)
