"""What each structure calls for beside the standard attacks: stages, each on what those before it left robust.

The standard attacks see the logits that decide; these see what lies behind them. Tramer et al. 2020 (arXiv 2002.08347):
attack the part that makes the defence, and keep a loss that agrees with success. Which stages there are is OUR CHOICE;
together they cost a surviving example about as many passes as AutoAttack does.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bench.attacks.adaptive.frozen_route import FrozenRoute
from bench.attacks.adaptive.joint import Joint, JointTargeted
from bench.attacks.adaptive.merged import Merged
from bench.attacks.adaptive.steered_route import SteeredRoute
from bench.attacks.attack import Ensemble
from bench.core.types import Attack

__all__ = ["AdaptivePairs", "AdaptiveRoutes"]


@dataclass(frozen=True, kw_only=True)
class AdaptivePairs(Ensemble):
    """For models with dummy classes.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    name: str = "adaptive-pairs"
    stages: tuple[Attack, ...] = (
        Merged(),
        Merged(name="merged-margin", objective="margin"),
        Joint(),
        JointTargeted(),
        Joint(name="joint-1000", steps=1_000),
    )


@dataclass(frozen=True, kw_only=True)
class AdaptiveRoutes(Ensemble):
    """For models with a router.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    name: str = "adaptive-routes"
    stages: tuple[Attack, ...] = (
        FrozenRoute(name="frozen-clean-image", route="clean-image"),
        FrozenRoute(name="frozen-adversarial-image", route="adversarial-image"),
        FrozenRoute(name="frozen-all-clean", route="all-clean"),
        FrozenRoute(name="frozen-all-adversarial", route="all-adversarial"),
        FrozenRoute(name="static-clean", route="static-clean"),
        FrozenRoute(name="static-adversarial", route="static-adversarial"),
        SteeredRoute(),
        SteeredRoute(name="end-to-end-1000", weights=(Fraction(0),), steps=1_000),
    )
