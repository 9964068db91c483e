"""The order of work: clean verdicts, then attack by attack, stage by stage, each on what the last left robust."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.types import Attack, CascadeRules
from bench.evaluation.cascade import Selection, audit_breaks, doubts, has_gradient, select
from bench.evaluation.evaluation import AuditCounts
from bench.evaluation.progress import Tracker
from bench.evaluation.results import StageResult
from bench.evaluation.runner import Runner
from bench.evaluation.stage import CLEAN, Stage

__all__ = ["Course", "Found"]

_REST = "rest"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a course found, in the order of sorted indices.

    Args:
        clean: what was found on clean inputs.
        stages: results by attack and position of the stage; an example that a stage was spared counts as robust to it.
        audit: for a cascade, the counts behind its interval.
    """

    clean: StageResult
    stages: dict[tuple[str, int], StageResult]
    audit: AuditCounts | None


class Course:
    """Runs the stages of an evaluation in their order.

    Args:
        runner: runs one stage.
        attacks: of the suite.
        tracker: told of progress.
        indices: position of each example in the official split, ascending.
        seed: of the run.
    """

    def __init__(
        self,
        runner: Runner,
        attacks: Sequence[Attack],
        tracker: Tracker,
        *,
        indices: Sequence[int],
        seed: int,
    ) -> None:
        self._runner = runner
        self._attacks = attacks
        self._indices = indices
        self._seed = seed
        self._tracker = tracker
        self._stages: dict[tuple[str, int], StageResult] = {}

    def run(self) -> Found:
        """Run everything.

        Raises:
            WorkFailedError: if an attack fails twice.
        """
        clean = self._run(CLEAN, [True] * len(self._indices), attack=CLEAN.key, name=CLEAN.key)
        audit = None
        for attack in self._attacks:
            rules = attack.cascade_rules
            if rules is None:
                self._run_stages(attack, range(len(attack.stages)), clean.robust)
            else:
                audit = self._run_cascade(attack, rules, clean.robust)
        return Found(clean=clean, stages=self._stages, audit=audit)

    def _run_stages(
        self, attack: Attack, positions: Sequence[int], survivors: Sequence[bool], suffix: str = ""
    ) -> Sequence[bool]:
        """Run some stages of an attack in turn, and return who withstood them."""
        for position in positions:
            part = attack.stages[position]
            stage, base = Stage.of(attack, part, suffix=suffix), Stage.of(attack, part)
            result = self._run(stage, survivors, base, attack=attack.name, name=f"{part.name} {suffix}".strip())
            before = self._stages.get((attack.name, position))
            self._stages[attack.name, position] = result if before is None else before.beside(result)
            survivors = result.robust
        return survivors

    def _run_cascade(self, attack: Attack, rules: CascadeRules, correct: Sequence[bool]) -> AuditCounts:
        """Run the later stages on a part of the survivors, and on the rest if anything speaks against sparing it."""
        n_stages = len(attack.stages)
        later = range(rules.n_on_all, n_stages)
        survivors = self._run_stages(attack, range(rules.n_on_all), correct)
        reasons = self._doubts(attack, rules, correct)
        chosen = self._select(attack, rules, survivors)
        tried = chosen.tried if not reasons else survivors
        held = self._run_stages(attack, later, tried)
        n_breaks = audit_breaks(chosen, held)
        if n_breaks:
            reasons = (*reasons, f"{n_breaks} of {sum(chosen.audited)} audited examples broke")
        rest = [robust and not seen for robust, seen in zip(survivors, tried, strict=True)]
        if reasons and any(rest):
            self._run_stages(attack, later, rest, suffix=_REST)
            rest = [False] * len(rest)
        for position in later:
            self._stages[attack.name, position] = self._stages[attack.name, position].sparing(rest)
        return AuditCounts(
            n_audited=sum(chosen.audited), n_unaudited=sum(rest), n_breaks=n_breaks, escalated="; ".join(reasons)
        )

    def _doubts(self, attack: Attack, rules: CascadeRules, correct: Sequence[bool]) -> tuple[str, ...]:
        first, second = (sum(self._stages[attack.name, position].robust) for position in (0, 1))
        gradients = self._runner.ask(has_gradient, correct, f"gradients for {attack.name}")
        return doubts(
            rules,
            n_broken_by_second=first - second,
            n_examples=len(correct),
            n_without_gradient=gradients.count(False),
        )

    def _select(self, attack: Attack, rules: CascadeRules, survivors: Sequence[bool]) -> Selection:
        columns = [self._stages[attack.name, position].margin for position in range(rules.n_on_all)]
        margins = [min(values) for values in zip(*columns, strict=True)]
        return select(rules, survivors, margins, self._indices, seed=self._seed)

    def _run(
        self, stage: Stage, attacked: Sequence[bool], base: Stage | None = None, *, attack: str, name: str
    ) -> StageResult:
        self._tracker.begin(stage, attacked, base=base or stage)
        report = functools.partial(self._tracker.advance, stage, attack=attack, name=name)
        return self._runner.run(stage, attacked, report)
