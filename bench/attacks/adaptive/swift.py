"""Constraint relaxation on everything, and AutoAttack on a fixed part of what it leaves, which audits it.

Constraint relaxation (Pan and Yao 2025) leaves no more of a plain model than AutoAttack does, for a thirtieth of its
passes; what masks gradients or misleads them it may miss, in silence. So the harness shows a part of the survivors,
picked by a key of each example alone, to AutoAttack (Croce and Hein 2020, arXiv 2003.01690) and to the attacks on the
structure that the model declares: what these break is broken, and bounds what they would have broken of the others. OUR
CHOICE throughout; `bench.core.types.AuditRules` says when all survivors are shown to all stages after all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.attacks.adaptive.ensemble import AdaptivePairs, AdaptiveRoutes
from bench.attacks.adaptive.relaxed import RelaxedPairs, RelaxedSteering
from bench.attacks.attack import Ensemble, recorded_as
from bench.attacks.autoattack import AutoAttack
from bench.attacks.constraint_relaxation import ConstraintRelaxation
from bench.core.types import Attack, AuditRules

__all__ = ["Swift"]

_PAIRS = AdaptivePairs().stages
# Three of 100 steps find what relaxed runs miss, for little; the others take 5,600 passes, and are for the audit.
_ON_ALL: tuple[Attack, ...] = (ConstraintRelaxation(), RelaxedPairs(), *_PAIRS[:3], RelaxedSteering())


@dataclass(frozen=True, kw_only=True)
class Swift(Ensemble):
    """Relaxed runs on all, then an audit; outside the harness, all of it on all.

    Args:
        name: how rows call it.
        stages: the attacks; those on a structure run on models that declare it.
        cascade_rules: what the stages of the audit see.
    """

    name: str = "swift"
    stages: tuple[Attack, ...] = (*_ON_ALL, *AutoAttack().stages, *_PAIRS[3:], *AdaptiveRoutes().stages)
    cascade_rules: AuditRules = field(default=AuditRules(n_on_all=len(_ON_ALL)), metadata=recorded_as("audit"))
