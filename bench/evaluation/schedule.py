"""The order of stages: clean verdicts, then attack by attack, stage by stage, each on what the last left robust.

Who asks for a stage's result here does not know whether it is computed or read: `execute` computes what is not done,
`assemble` reads what is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from bench.core.types import Attack, AuditRules, CascadeRules
from bench.evaluation.cascade import Selection, audit_breaks, audited, doubts, select
from bench.evaluation.evaluation import AuditCounts
from bench.evaluation.results import StageResult

__all__ = ["CLEAN", "GRADIENTS", "Results", "Schedule", "Scheduled", "Stage"]

_REST = "rest"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is done to every chunk.

    Args:
        key: names its folder in the journal.
        attack: what searches; None judges the clean inputs.
        parent: name of the attack that it is a stage of.
        suffix: of the key, for a second pass over a stage; empty for the first.
    """

    key: str
    attack: Attack | None
    parent: str = ""
    suffix: str = ""

    @classmethod
    def of(cls, attack: Attack, part: Attack, *, suffix: str = "") -> Stage:
        """The stage `part` of `attack`; the suffix keeps a second pass apart from the first."""
        single = len(attack.stages) == 1
        key = ".".join(word for word in (attack.name, "" if single else part.name, suffix) if word)
        return cls(key=key, attack=part, parent=attack.name, suffix=suffix)

    @property
    def name(self) -> str:
        """As the attack calls it."""
        return self.attack.name if self.attack is not None else self.key

    @property
    def label(self) -> str:
        """As progress calls it."""
        return f"{self.name} {self.suffix}".strip()

    @property
    def first_pass(self) -> Stage:
        """The same stage without the suffix, whose costs a second pass has."""
        return replace(self, key=self.key.removesuffix(f".{self.suffix}"), suffix="") if self.suffix else self

    @property
    def per_chunk(self) -> bool:
        """Whether the attack's draws depend on its batch, so that chunks must not share one."""
        return self.attack is not None and self.attack.per_chunk


CLEAN = Stage(key="clean", attack=None, parent="clean")
GRADIENTS = Stage(key="gradients", attack=None, parent="gradients")
"""Whether the losses have a gradient at clean inputs: who has none is not broken, but speaks for doubt."""


class Results(Protocol):
    """Where the results of stages come from."""

    def of(self, stage: Stage, attacked: Sequence[bool]) -> StageResult:
        """What the stage did to the examples of the run that `attacked` marks."""
        ...

    def with_gradient(self, correct: Sequence[bool]) -> Sequence[bool]:
        """Which of the examples that `correct` marks have a gradient, one item per example of the run."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """All results of a run, in the order of sorted indices.

    Args:
        clean: on clean inputs.
        stages: by attack and position of the stage; an example that a stage was spared counts as robust to it.
        audit: for a cascade or an audit, the counts behind its interval.
    """

    clean: StageResult
    stages: dict[tuple[str, int], StageResult]
    audit: AuditCounts | None


class Schedule:
    """Asks for the stages of an evaluation in their order.

    Args:
        results: where they come from.
        attacks: of the suite.
        indices: position of each example in the official split, ascending.
        seed: of the run.
    """

    def __init__(self, results: Results, attacks: Sequence[Attack], *, indices: Sequence[int], seed: int) -> None:
        self._results = results
        self._attacks = attacks
        self._indices = indices
        self._seed = seed
        self._stages: dict[tuple[str, int], StageResult] = {}

    def run(self) -> Scheduled:
        """Ask for all of them; raises what asking raises."""
        clean = self._results.of(CLEAN, [True] * len(self._indices))
        audit = None
        for attack in self._attacks:
            rules = attack.cascade_rules
            if rules is None:
                self._run_stages(attack, range(len(attack.stages)), clean.robust)
            else:
                audit = self._run_cascade(attack, rules, clean.robust)
        return Scheduled(clean=clean, stages=self._stages, audit=audit)

    def _run_stages(
        self, attack: Attack, positions: Sequence[int], survivors: Sequence[bool], suffix: str = ""
    ) -> Sequence[bool]:
        """Run some stages of an attack in turn, and return who withstood them."""
        for position in positions:
            result = self._results.of(Stage.of(attack, attack.stages[position], suffix=suffix), survivors)
            before = self._stages.get((attack.name, position))
            self._stages[attack.name, position] = result if before is None else before.beside(result)
            survivors = result.robust
        return survivors

    def _run_cascade(self, attack: Attack, rules: CascadeRules | AuditRules, correct: Sequence[bool]) -> AuditCounts:
        """Run the later stages on a part of the survivors, and on the rest if anything speaks against sparing it.

        The rest of an audit is always a second pass, so that shards which had doubts and shards which had none did the
        same to the audited ones.
        """
        later = range(rules.n_on_all, len(attack.stages))
        survivors = self._run_stages(attack, range(rules.n_on_all), correct)
        reasons = self._doubts(attack, rules, correct)
        chosen = self._select(attack, rules, survivors)
        tried = survivors if reasons and isinstance(rules, CascadeRules) else chosen.tried
        held = self._run_stages(attack, later, tried)
        n_audited, n_breaks = sum(chosen.audited), audit_breaks(chosen, held)
        if n_breaks > _most_broken(rules) * n_audited:
            reasons = (*reasons, f"{n_breaks} of {n_audited} audited examples broke")
        rest = [robust and not seen for robust, seen in zip(survivors, tried, strict=True)]
        if reasons and any(rest):
            self._run_stages(attack, later, rest, suffix=_REST)
            rest = [False] * len(rest)
        for position in later:
            self._stages[attack.name, position] = self._stages[attack.name, position].sparing(rest)
        return AuditCounts(
            n_audited=n_audited,
            n_unaudited=sum(rest),
            n_breaks=n_breaks,
            escalated="; ".join(reasons),
            rate=rules.rate if isinstance(rules, AuditRules) else None,
        )

    def _doubts(self, attack: Attack, rules: CascadeRules | AuditRules, correct: Sequence[bool]) -> tuple[str, ...]:
        if isinstance(rules, AuditRules):
            first, second = self._stages.get((rules.against, 0)), self._stages[attack.name, 0]
        else:
            first, second = self._stages[attack.name, 0], self._stages[attack.name, 1]
        pairs = zip(first.robust, second.robust, strict=True) if first is not None else ()
        with_gradient = self._results.with_gradient(correct)
        return doubts(
            rules,
            n_broken_by_second=sum(before and not after for before, after in pairs),
            n_examples=len(correct),
            n_without_gradient=sum(right and not has for right, has in zip(correct, with_gradient, strict=True)),
        )

    def _select(self, attack: Attack, rules: CascadeRules | AuditRules, survivors: Sequence[bool]) -> Selection:
        if isinstance(rules, AuditRules):
            return audited(rules, survivors, self._indices)
        columns = [self._stages[attack.name, position].margin for position in range(rules.n_on_all)]
        margins = [min(values) for values in zip(*columns, strict=True)]
        return select(rules, survivors, margins, self._indices, seed=self._seed)


def _most_broken(rules: CascadeRules | AuditRules) -> Fraction:
    """The share of audited examples that may break."""
    return rules.most_broken if isinstance(rules, AuditRules) else Fraction(0)
