"""AutoAttack for a fraction of the time: the two slow stages see only a part of what the two quick ones leave.

On adversarially trained models FAB-T and Square hardly ever break what APGD-CE and APGD-T left, and they are four
fifths of the work. Here they see the survivors of smallest margin, and an audit sample of the others from which the
harness bounds what was missed. OUR CHOICE throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bench.attacks.autoattack.ensemble import AutoAttack

__all__ = ["Cascade", "Triage"]


@dataclass(frozen=True, kw_only=True)
class Triage:
    """Which survivors the later stages see, and when they see all of them after all.

    Shares are rounded up. All survivors are tried if an audited one breaks, if an input has no gradient, or if
    `largest_gap` is exceeded.

    Args:
        n_on_all: stages that see everything; at least two, the first on cross-entropy, the second on margins.
        closest: share of the survivors, those of smallest margin, that is tried.
        least_closest: at least so many.
        audited: share of the other survivors that is drawn by key and tried.
        least_audited: at least so many.
        largest_gap: share of all examples that the second stage may break after the first. Above it, the first is
            misled. Plainly trained models lie below a tenth, on 64 examples too; models that mask gradients above.
    """

    n_on_all: int = 2
    closest: Fraction = Fraction(1, 20)
    least_closest: int = 4
    audited: Fraction = Fraction(1, 10)
    least_audited: int = 16
    largest_gap: Fraction = Fraction(1, 8)


@dataclass(frozen=True, kw_only=True)
class Cascade(AutoAttack):
    """AutoAttack whose later stages the harness runs on a part of the survivors; outside the harness, AutoAttack.

    Args:
        name: how rows call it.
        stages: as for AutoAttack.
        triage: what the later stages see.
    """

    name: str = "cascade"
    triage: Triage = Triage()
