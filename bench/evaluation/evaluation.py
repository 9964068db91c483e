"""What an evaluation found, as plain values, and its part of a row."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from bench.core.plain_text import counted
from bench.core.statistics import CONFIDENCE, most_missed, wilson
from bench.core.types import ThreatModel
from bench.evaluation.journal.header import Header
from bench.evaluation.results import StageResult
from bench.evaluation.search_precision import FLOAT32
from bench.row import (
    AttackCost,
    AttackResult,
    Audit,
    Cost,
    Diagnostic,
    Reported,
    Result,
    StageCount,
    format_indices,
    pack_margins,
    pack_verdicts,
)
from bench.row.arrays import Breaks

__all__ = ["AttackOutcome", "AuditCounts", "Evaluation", "cost_of", "result_of"]


@dataclass(frozen=True, kw_only=True)
class AttackOutcome:
    """One attack on all cleanly correct examples.

    Args:
        name: the attack's name.
        parameters: its fields, as JSON values.
        margin: best margin per example (the clean one where the model was wrong already).
        stages: in order, at least one; an attack in one piece is its own.
    """

    name: str
    parameters: dict[str, Any]
    margin: tuple[float, ...]
    stages: tuple[StageResult, ...]

    @property
    def robust(self) -> tuple[bool, ...]:
        """Which examples were correct and withstood it."""
        return self.stages[-1].robust

    @property
    def n_robust(self) -> int:
        """How many examples were correct and withstood it."""
        return sum(self.robust)

    @property
    def seconds(self) -> float:
        """Time that its stages took."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def forwards(self) -> int:
        """Examples passed forwards."""
        return sum(stage.forwards for stage in self.stages)

    @property
    def backwards(self) -> int:
        """Gradients taken."""
        return sum(stage.backwards for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class AuditCounts:
    """What a cascade or an audit spared, and what was found of what it did not.

    Args:
        n_audited: survivors that were drawn from those to be spared, and tried.
        n_unaudited: survivors that were spared.
        n_breaks: audited examples that broke.
        escalated: why nothing was spared after all; empty where something was.
        rate: share of all examples that is audited, by a key of each alone; None where a sample was drawn.
    """

    n_audited: int
    n_unaudited: int
    n_breaks: int
    escalated: str
    rate: Fraction | None = None

    @property
    def most_missed(self) -> int:
        """Exact one-sided 95 % bound on the breaks that would have been found among the spared."""
        if not self.n_unaudited:
            return 0
        return most_missed(self.n_audited + self.n_unaudited, self.n_audited, self.n_breaks)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was found, per example in the order of the examples given.

    Args:
        header: what was evaluated, and how.
        threat_model: what the attacker could do.
        device: the machine's name.
        indices: position of each example in the official split.
        clean: which were classified correctly without an attack.
        clean_margin: `z_y - max_{k != y} z_k` of the clean inputs.
        attacks: in the suite's order.
        finite: False where logits, clean or attacked, were not finite.
        batch_size: the smallest compute batch that was used.
        breaks: for each example that was correct and broken, the strongest break over all attacks.
        audit: for a cascade or an audit, what its interval rests on.
        reported: numbers beside the verdicts, which never count.
        not_run: which of them failed, and why.
    """

    header: Header
    threat_model: ThreatModel
    device: str
    indices: tuple[int, ...]
    clean: tuple[bool, ...]
    clean_margin: tuple[float, ...]
    attacks: tuple[AttackOutcome, ...]
    finite: tuple[bool, ...]
    batch_size: int
    breaks: Breaks = field(compare=False, repr=False)
    audit: AuditCounts | None = None
    reported: tuple[Reported, ...] = ()
    not_run: dict[str, str] = field(default_factory=dict)

    @property
    def robust(self) -> tuple[bool, ...]:
        """Which examples were correct and withstood every attack."""
        columns = [self.clean, *(attack.robust for attack in self.attacks)]
        return tuple(all(verdicts) for verdicts in zip(*columns, strict=True))

    @property
    def n_examples(self) -> int:
        """How many examples."""
        return len(self.indices)

    @property
    def n_clean(self) -> int:
        """How many were classified correctly."""
        return sum(self.clean)

    @property
    def n_robust(self) -> int:
        """How many were correct and withstood every attack."""
        return sum(self.robust)

    @property
    def n_nonfinite(self) -> int:
        """For how many examples the model gave logits that are not finite."""
        return self.finite.count(False)

    @property
    def clean_accuracy(self) -> float:
        """In [0, 1]."""
        return self.n_clean / self.n_examples

    @property
    def robust_accuracy(self) -> float:
        """In [0, 1]."""
        return self.n_robust / self.n_examples

    def __str__(self) -> str:
        lines = self._lines()
        wide = max(len(name) for name, _ in lines)
        return "\n".join([self._asked(), *(f"  {name:{wide}}  {count}" for name, count in lines)])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{count}</td></tr>" for name, count in self._lines())
        return f"<table><caption>{html.escape(self._asked())}</caption>{rows}</table>"

    def _asked(self) -> str:
        return f"{self.header.suite}, {self.threat_model}, {counted(self.n_examples, 'example')}"

    def _lines(self) -> list[tuple[str, str]]:
        """What is left, in counts and percent: clean, under each attack alone, and under all of them."""
        counts = [("clean", self.n_clean), *((attack.name, attack.n_robust) for attack in self.attacks)]
        low, high = wilson(self.n_robust, self.n_examples)
        within = f" (95 % interval {100 * low:.2f} to {100 * high:.2f})" if self.audit is None else " at most"
        lines = [(name, f"{count}, {100 * count / self.n_examples:.2f} %") for name, count in counts]
        return [*lines, ("robust", f"{self.n_robust}, {100 * self.robust_accuracy:.2f} %{within}")]


def result_of(evaluation: Evaluation, *, diagnostics: tuple[Diagnostic, ...] = ()) -> Result:
    """The part of a row that must be equal between two runs of the same thing."""
    return Result(
        n_examples=evaluation.n_examples,
        indices=format_indices(evaluation.indices),
        n_clean=evaluation.n_clean,
        n_robust=evaluation.n_robust,
        seed=evaluation.header.seed,
        clean=pack_verdicts(evaluation.clean),
        attacks=tuple(_attack_result(attack) for attack in evaluation.attacks),
        n_nonfinite=evaluation.n_nonfinite,
        diagnostics=diagnostics,
        audit=_audit(evaluation),
        reported=evaluation.reported,
    )


def cost_of(evaluation: Evaluation) -> Cost:
    """The part of a row that says how it was computed and what that took."""
    return Cost(
        engine=evaluation.header.engine,
        precision=evaluation.header.precision,
        precision_reason=evaluation.header.precision_reason,
        device=evaluation.device,
        batch_size=evaluation.batch_size,
        attacks=tuple(
            AttackCost(
                name=attack.name,
                seconds=round(attack.seconds, 3),
                forwards=attack.forwards,
                backwards=attack.backwards,
                **_claims(attack, evaluation.header.precision),
            )
            for attack in evaluation.attacks
        ),
    )


def _audit(evaluation: Evaluation) -> Audit | None:
    counts = evaluation.audit
    if counts is None:
        return None
    return Audit(
        at_least=max(0, evaluation.n_robust - counts.most_missed),
        confidence=CONFIDENCE,
        n_audited=counts.n_audited,
        n_unaudited=counts.n_unaudited,
        n_breaks=counts.n_breaks,
        escalated=counts.escalated,
        rate=str(counts.rate) if counts.rate is not None else None,
    )


def _claims(attack: AttackOutcome, precision: str) -> dict[str, int]:
    """Breaks claimed in lower precision, and those refused; nothing where the attack claimed none."""
    claimed = sum(stage.n_claimed for stage in attack.stages)
    if precision == FLOAT32 or not claimed:
        return {}
    return {"n_claimed": claimed, "n_rejected": sum(stage.n_rejected for stage in attack.stages)}


def _attack_result(attack: AttackOutcome) -> AttackResult:
    several = len(attack.stages) > 1
    return AttackResult(
        name=attack.name,
        n_robust=attack.n_robust,
        robust=pack_verdicts(attack.robust),
        best_margin=pack_margins(attack.margin),
        parameters=attack.parameters,
        stages=tuple(StageCount(name=stage.name, n_robust=stage.n_robust) for stage in attack.stages if several),
    )
