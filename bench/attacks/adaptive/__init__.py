"""Attacks on what a model declares of its structure: dummy classes and routers (see `docs/adaptive.md`)."""

from __future__ import annotations

from bench.attacks.adaptive.ensemble import AdaptivePairs, AdaptiveRoutes
from bench.attacks.adaptive.frozen_route import FrozenRoute
from bench.attacks.adaptive.joint import Joint, JointTargeted
from bench.attacks.adaptive.merged import Merged
from bench.attacks.adaptive.relaxed import RelaxedPairs, RelaxedSteering
from bench.attacks.adaptive.steered_route import SteeredRoute

__all__ = [
    "ENTRY",
    "AdaptivePairs",
    "AdaptiveRoutes",
    "FrozenRoute",
    "Joint",
    "JointTargeted",
    "Merged",
    "RelaxedPairs",
    "RelaxedSteering",
    "SteeredRoute",
]

ENTRY = (
    AdaptivePairs(),
    AdaptiveRoutes(),
    Merged(),
    Joint(),
    JointTargeted(),
    FrozenRoute(),
    SteeredRoute(),
    RelaxedPairs(),
    RelaxedSteering(),
)
