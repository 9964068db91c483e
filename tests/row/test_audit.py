"""What a row says of an audit by key: who was looked at, what follows for the others, and which breaks it ships."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from bench.core.audited import is_audited
from bench.core.errors import ContradictionError
from bench.core.statistics import most_missed
from bench.row import pack_margins, pack_verdicts
from bench.row.result import AttackResult, Audit, Result

N = 4000
RATE = Fraction(1, 16)
LOOKED = [is_audited(index, RATE) for index in range(N)]


def result_of(robust: list[bool], n_breaks: int = 0, rules: dict[str, str] | None = None, **change: Any) -> Result:
    attack = AttackResult(
        name="swift",
        n_robust=sum(robust),
        robust=pack_verdicts(robust),
        best_margin=pack_margins([1.0 if held else -1.0 for held in robust]),
        parameters={"audit": {"rate": "1/16", "most_broken": "1/128"} if rules is None else rules},
    )
    n_held = sum(held and looked for held, looked in zip(robust, LOOKED, strict=True))
    n_spared = sum(robust) - n_held
    missed = most_missed(n_held + n_breaks + n_spared, n_held + n_breaks, n_breaks)
    audit = Audit(
        at_least=sum(robust) - missed,
        confidence=0.95,
        n_audited=n_held + n_breaks,
        n_unaudited=n_spared,
        n_breaks=n_breaks,
        rate="1/16",
    )
    return Result(
        n_examples=N,
        indices=f"0:{N}",
        n_clean=N,
        n_robust=sum(robust),
        seed=0,
        clean=pack_verdicts([True] * N),
        attacks=(attack,),
        n_nonfinite=0,
        diagnostics=(),
        audit=replace(audit, **change),
    )


ROBUST = [index % 5 != 0 for index in range(N)]


def test_an_audit_that_fits_its_examples_is_believed() -> None:
    """With no break, and with one in a hundred and twenty-eight, which widens the bound."""
    none, one = result_of(ROBUST), result_of(ROBUST, 1)
    assert none.audit is not None and one.audit is not None
    assert none.audit.at_least > one.audit.at_least > 0.9 * sum(ROBUST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_audited": 3}, "`audit.n_audited` to be"),
        ({"n_unaudited": 3}, "`audit.n_unaudited` to be"),
        ({"at_least": sum(ROBUST)}, "`audit.at_least` to be"),
        ({"rate": "1/8"}, "an attack that audits 1/8"),
        ({"escalated": "because"}, "nothing unaudited after"),
    ],
)
def test_counts_that_the_examples_contradict_are_refused(change: dict[str, Any], message: str) -> None:
    """Whoever is audited follows from the indices, so nobody can say otherwise."""
    with pytest.raises(ContradictionError, match=message):
        result_of(ROBUST, **change)


def test_too_many_breaks_leave_nothing_unaudited() -> None:
    """As the attack's own parameters say."""
    with pytest.raises(ContradictionError, match="leave nothing unaudited after 3 breaks"):
        result_of(ROBUST, 3)
    assert result_of(ROBUST, 3, {"rate": "1/16", "most_broken": "1/16"}).audit is not None


@pytest.mark.parametrize("rate", ["", "0.5", "1/0", "-1/2", "1/1234567", "one"])
def test_a_rate_is_a_share(rate: str) -> None:
    """Anything else is refused before it is read as one."""
    with pytest.raises(ValueError, match="`rate`"):
        Audit(at_least=1, confidence=0.95, n_audited=1, n_unaudited=1, n_breaks=0, rate=rate)


def test_a_row_on_a_whole_split_ships_the_first_breaks_and_those_of_the_audited() -> None:
    """Others ship all of them."""
    result = result_of(ROBUST)
    broken = {index for index in range(N) if not ROBUST[index]}
    assert result.broken() == broken
    assert result.shown() == {index for index in broken if index < 1000 or LOOKED[index]}
    assert replace(result, audit=None).shown() == broken
