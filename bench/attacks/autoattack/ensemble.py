"""AutoAttack, the standard ensemble: APGD-CE, targeted APGD, targeted FAB, Square, each on what the last left robust.

Croce and Hein 2020 (arXiv 2003.01690), standard version.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.attacks.autoattack.stages import ApgdCe, ApgdT, FabT, Square
from bench.attacks.ensemble import Ensemble
from bench.core.types import Attack

__all__ = ["AutoAttack"]


@dataclass(frozen=True, kw_only=True)
class AutoAttack(Ensemble):
    """The standard ensemble.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    name: str = "autoattack"
    stages: tuple[Attack, ...] = (ApgdCe(), ApgdT(), FabT(), Square())
