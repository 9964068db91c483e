"""R1: does the model stay what it is while it is used?

A model in training mode, or one whose buffers change from call to call, is another function every time. Judged after
`eval()` was forced, and after all other checks have used the model: nothing may have changed since the start.
"""

from __future__ import annotations

from bench.diagnostics.check import Check
from bench.diagnostics.subject import Subject
from bench.models import Adapted
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]


_COPY = "Let forward work on a copy (x = x.clone(), or Normalize without inplace=True), then run again."


def _examine(subject: Subject) -> CheckResult:
    training = sorted({type(part).__name__ for part in subject.module.modules() if part.training})
    changed = subject.start.changed_tensors(subject.module)
    if training or changed:
        parts = [f"modules in training mode after eval(): {', '.join(training)}"] if training else []
        parts += [f"tensors that changed while it was used: {_named(changed)}"] if changed else []
        count = len(training) + len(changed)
        evidence = f"The model has {'; '.join(parts)}."
        return CheckResult(level=Level.FAIL, statistic=float(count), threshold=0.0, evidence=evidence)
    if subject.classifier.changes_inputs:
        evidence = (
            "The model changes its input in place, and not of every batch: what was attacked is not what was asked."
        )
        return CheckResult(level=Level.FAIL, statistic=1.0, threshold=0.0, evidence=evidence, next=_COPY)
    kept = subject.start.changed_attributes(subject.module)
    if kept:
        evidence = f"The model keeps state outside its buffers: {_named(kept)} changed while it was used."
        return CheckResult(level=Level.WARN, statistic=float(len(kept)), threshold=0.0, evidence=evidence)
    if isinstance(subject.module, Adapted) and subject.module.needs.copies:
        evidence = "The model changes its input in place; it is given copies here, which other tools may not do."
        return CheckResult(level=Level.WARN, statistic=0.0, threshold=0.0, evidence=evidence, next=_COPY)
    evidence = "In eval mode, no parameter, buffer or attribute changed while it was used."
    return CheckResult(level=Level.PASS, statistic=0.0, threshold=0.0, evidence=evidence)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


ENTRY = Check(
    id="R1",
    question="Is it in eval mode, and does it stay as it is?",
    examine=_examine,
    next="Make eval() reach every part and stop updating buffers in forward, then run again.",
    effort=2,
    short=0,
    last=True,
    needs_logits=False,
    needs_correct=False,
    of_stochastic="as it is",
)
