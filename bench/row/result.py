"""What a row says was found: counts, packed verdicts, margins, doubts, and what is only reported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from bench.core.audited import is_audited
from bench.core.errors import ContradictionError
from bench.core.statistics import CONFIDENCE, most_missed
from bench.row.indices import parse_indices
from bench.row.packing import unpack_margins, unpack_verdicts
from bench.row.schema import OPTIONAL
from bench.row.splits import RANKED_EXAMPLES

__all__ = ["AttackResult", "Audit", "Diagnostic", "Reported", "Result", "StageCount", "expect_count"]

_MOST_COLUMNS = 256
_SHARE = re.compile(r"[0-9]{1,6}(/[1-9][0-9]{0,5})?")


@dataclass(frozen=True, kw_only=True)
class StageCount:
    """One stage of an attack: how many examples were still robust after it."""

    name: str
    n_robust: int


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """One attack on all cleanly correct examples.

    Args:
        name: the attack's name.
        n_robust: examples that were correct and stayed correct.
        robust: packed verdicts, one per example.
        best_margin: packed float16: `z_y - max_{k != y} z_k` of the best candidate (of the clean input, where the
            model misclassified it and no attack ran; minus infinity where logits were not finite).
        parameters: the attack's fields.
        stages: for an attack in several stages, the count after each.
    """

    name: str
    n_robust: int
    robust: str
    best_margin: str
    parameters: dict[str, Any]
    stages: tuple[StageCount, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One check of whether the number is believable.

    Args:
        id: of the check: "R8".
        status: "pass", "warn", "fail", "not applicable", or "not run" where the check itself failed.
        statistic: what was measured; None where nothing was.
        threshold: what the statistic is held against, or None.
        evidence: what was seen, a sentence.
        next: what to run next; empty where nothing was found.
    """

    id: str
    status: str
    statistic: float | None
    threshold: float | None
    evidence: str
    next: str

    @property
    def failed(self) -> bool:
        """Whether the number is not believable by this check."""
        return self.status == "fail"

    @property
    def ran(self) -> bool:
        """Whether there is an answer at all; without one the row takes no rank."""
        return self.status != "not run"


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A number that is shown beside the suite's and never counts: no part of the AND, no part of robust accuracy.

    For naive evaluations (attacking the raw logits of a model that recovers its classes) and for statistics of a
    model's structure (how often the router flips).

    Args:
        name: how tables call it.
        parameters: what fixes it: the attack's fields, what it was run on.
        n_robust: examples that it counts as robust; None for a bare statistic.
        robust: packed verdicts, one per example of the row; None for a bare statistic. They need not imply that the
            row calls an example correct, since it may judge by other logits.
        statistics: measured numbers by name ("flip_rate"), finite.
    """

    name: str
    parameters: dict[str, Any]
    n_robust: int | None = field(default=None, metadata=OPTIONAL)
    robust: str | None = field(default=None, metadata=OPTIONAL)
    statistics: dict[str, float] = field(default_factory=dict, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What stands behind an interval: some examples skipped the last attacks, and a sample of them did not.

    The suite's `n_robust` is the interval's upper end.

    Args:
        at_least: its lower end: examples that are robust at the given confidence, one-sided.
        confidence: of `at_least`, in (0, 1).
        n_audited: examples that were drawn from those that would have skipped attacks, and got them.
        n_unaudited: examples that skipped attacks.
        n_breaks: audited examples that the skipped attacks broke.
        escalated: why everything was then run in full after all; empty where it was not.
        rate: share of all examples, such as "1/16", that is audited by a key of each alone (`bench.core.audited`);
            None where a sample was drawn.
    """

    at_least: int
    confidence: float
    n_audited: int
    n_unaudited: int
    n_breaks: int
    escalated: str = field(default="", metadata=OPTIONAL)
    rate: str | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        if self.rate is not None and not _SHARE.fullmatch(self.rate):
            raise ValueError(f"Expected `rate` to be a share such as 1/16, but got {self.rate!r:.40}.")

    def looks_at(self, index: int) -> bool:
        """Whether an example is audited if it survives until then; never where a sample was drawn."""
        return self.rate is not None and is_audited(index, Fraction(self.rate))


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that must be equal between two runs of the same thing.

    Args:
        n_examples: how many were evaluated.
        indices: which, as ranges of positions in the official split.
        n_clean: classified correctly without an attack.
        n_robust: the AND, per example, over the clean verdict and every attack.
        seed: of the attacks' draws.
        clean: packed verdicts without an attack.
        attacks: the suite's columns.
        n_nonfinite: examples with logits that are not finite.
        diagnostics: doubts.
        reported: numbers that are shown and never count.
        audit: for a cascade or an audit, what its interval rests on.

    Raises:
        ContradictionError: if the counts contradict the packed verdicts.
        ValueError: if there are more attacks, diagnostics or numbers than any suite has, or two of one name.
    """

    n_examples: int
    indices: str
    n_clean: int
    n_robust: int
    seed: int
    clean: str
    attacks: tuple[AttackResult, ...]
    n_nonfinite: int
    diagnostics: tuple[Diagnostic, ...]
    reported: tuple[Reported, ...] = field(default=(), metadata=OPTIONAL)
    audit: Audit | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        for name in ("attacks", "diagnostics", "reported"):
            found = getattr(self, name)
            if len(found) > _MOST_COLUMNS:
                raise ValueError(f"Expected `{name}` to be at most {_MOST_COLUMNS}, but got {len(found)}.")
        if len({attack.name for attack in self.attacks}) < len(self.attacks):
            raise ContradictionError("Expected every attack once, but got two of one name.")
        count = len(parse_indices(self.indices))
        expect_count("n_examples", self.n_examples, count, f"indices {self.indices:.60}")
        if not 0 <= self.n_nonfinite <= count:
            raise ContradictionError(f"Expected `n_nonfinite` to be 0 to {count}, but got {self.n_nonfinite}.")
        clean = self.clean_verdicts()
        expect_count("n_clean", self.n_clean, sum(clean), "clean")
        for attack in self.attacks:
            robust = self.robust_verdicts(attack)
            unpack_margins(attack.best_margin, self.n_examples)
            expect_count(f"n_robust of {attack.name}", attack.n_robust, sum(robust), "robust")
            if any(after and not before for before, after in zip(clean, robust, strict=True)):
                raise ContradictionError(f"Expected examples robust to {attack.name} to be correct when clean.")
            if attack.stages:
                _expect_stages(attack)
        expect_count("n_robust", self.n_robust, sum(self.verdicts()), "the attacks' verdicts")
        for each in self.reported:
            if each.robust is not None:
                count = sum(unpack_verdicts(each.robust, self.n_examples))
                expect_count(f"n_robust of {each.name}", each.n_robust, count, "robust")
        if self.audit is not None:
            if self.audit.rate is not None:
                self._check_audited(self.audit)
            _check_audit(self.audit, self.n_robust, self.n_examples)

    def _check_audited(self, audit: Audit) -> None:
        """Whoever is audited follows from the examples, so the counts can be counted again."""
        audits = [attack for attack in self.attacks if isinstance(attack.parameters.get("audit"), dict)]
        rules = audits[0].parameters["audit"] if len(audits) == 1 else {}
        if rules.get("rate") != audit.rate:
            raise ContradictionError(f"Expected `audit` to be of an attack that audits {audit.rate} of the examples.")
        robust = self.robust_verdicts(audits[0])
        indices = parse_indices(self.indices)
        n_held = sum(held and audit.looks_at(index) for index, held in zip(indices, robust, strict=True))
        expect_count("audit.n_audited", audit.n_audited, n_held + audit.n_breaks, "robust, and those that broke")
        if audit.n_unaudited:
            expect_count("audit.n_unaudited", audit.n_unaudited, sum(robust) - n_held, "robust")
        allowed = _share(rules.get("most_broken"))
        if audit.n_unaudited and audit.n_breaks > allowed * audit.n_audited:
            raise ContradictionError(f"Expected `audit` to leave nothing unaudited after {audit.n_breaks} breaks.")

    def clean_verdicts(self) -> tuple[bool, ...]:
        """Whether each example is classified correctly without an attack."""
        return self._clean

    @cached_property
    def _clean(self) -> tuple[bool, ...]:
        return unpack_verdicts(self.clean, self.n_examples)

    def robust_verdicts(self, attack: AttackResult) -> tuple[bool, ...]:
        """Whether each example is correct and withstood `attack`."""
        return unpack_verdicts(attack.robust, self.n_examples)

    def verdicts(self) -> tuple[bool, ...]:
        """Whether each example is correct and withstood every attack."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> tuple[bool, ...]:
        columns = [self.clean_verdicts(), *(self.robust_verdicts(attack) for attack in self.attacks)]
        return tuple(map(all, zip(*columns, strict=True)))

    def broken(self) -> frozenset[int]:
        """Indices of the examples that were correct and that the suite broke."""
        columns = zip(parse_indices(self.indices), self.clean_verdicts(), self.verdicts(), strict=True)
        return frozenset(index for index, clean, robust in columns if clean and not robust)

    def shown(self) -> frozenset[int]:
        """Of the broken examples those whose breaks a row ships: all, or of an audited whole split a part.

        That is the first examples, on which other suites rank, and those whose key has them audited, broken before the
        audit or by it.
        """
        broken, audit = self.broken(), self.audit
        if audit is None or audit.rate is None:
            return broken
        return frozenset(index for index in broken if index < RANKED_EXAMPLES or audit.looks_at(index))


def _expect_stages(attack: AttackResult) -> None:
    """Each stage sees what those before it left, and the last count is the attack's."""
    counts = [stage.n_robust for stage in attack.stages]
    if len(counts) > _MOST_COLUMNS or counts != sorted(counts, reverse=True) or counts[-1] != attack.n_robust:
        raise ContradictionError(
            f"Expected the stages of {attack.name} to fall to its count {attack.n_robust}, but got {counts!s:.60}."
        )


def _share(value: object) -> Fraction:
    """A share as parameters have it, such as "1/128"; 0 for anything else."""
    return Fraction(value) if isinstance(value, str) and _SHARE.fullmatch(value) else Fraction(0)


def _check_audit(audit: Audit, n_robust: int, n_examples: int) -> None:
    """An audit's counts fit each other and the row, and its lower end is the exact bound."""
    fine = 0 <= audit.n_breaks <= audit.n_audited and 0 <= audit.n_unaudited <= n_examples - audit.n_audited
    if audit.confidence != CONFIDENCE or not fine:
        raise ContradictionError(f"Expected `audit` to have counts that fit each other, but got {audit!s:.100}.")
    drawn = audit.rate is None
    if audit.n_unaudited and ((audit.n_breaks and drawn) or audit.escalated):
        raise ContradictionError("Expected `audit` to leave nothing unaudited after a break or an escalation.")
    population = audit.n_audited + audit.n_unaudited
    missed = most_missed(population, audit.n_audited, audit.n_breaks) if audit.n_unaudited else 0
    expect_count(
        "audit.at_least", audit.at_least, max(0, n_robust - missed), "n_robust less the bound on missed breaks"
    )


def expect_count(name: str, count: int | None, actual: int, where: str) -> None:
    """Refuse a count that differs from what it counts.

    Raises:
        ContradictionError: naming both.
    """
    if count != actual:
        raise ContradictionError(f"Expected `{name}` to be {actual} as in {where}, but got {count}.")
