"""AutoAttack, the standard ensemble: APGD-CE, targeted APGD, targeted FAB, Square, each on what the last left robust.

Croce and Hein 2020 (arXiv 2003.01690), standard version.

`Cascade` is AutoAttack for a fraction of the time. On adversarially trained models FAB-T and Square hardly ever break
what APGD-CE and APGD-T left, and they are four fifths of the work. Here they see the survivors of smallest margin, and
an audit sample of the others from which the harness bounds what was missed. OUR CHOICE throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.attacks.attack import Ensemble, recorded_as
from bench.attacks.autoattack.apgd import ApgdCe, ApgdT
from bench.attacks.autoattack.fab import FabT
from bench.attacks.autoattack.square import Square
from bench.core.types import Attack, CascadeRules

__all__ = ["AutoAttack", "Cascade"]


@dataclass(frozen=True, kw_only=True)
class AutoAttack(Ensemble):
    """The standard ensemble.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    name: str = "autoattack"
    stages: tuple[Attack, ...] = (ApgdCe(), ApgdT(), FabT(), Square())


@dataclass(frozen=True, kw_only=True)
class Cascade(AutoAttack):
    """AutoAttack whose later stages the harness runs on a part of the survivors; outside the harness, AutoAttack.

    Args:
        name: how rows call it.
        stages: as for AutoAttack.
        cascade_rules: what the later stages see.
    """

    name: str = "cascade"
    cascade_rules: CascadeRules = field(default=CascadeRules(), metadata=recorded_as("triage"))
