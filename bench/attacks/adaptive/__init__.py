"""Attacks on what a model declares of its structure: dummy classes and routers (see `docs/adaptive.md`)."""

from __future__ import annotations

from bench.attacks.adaptive.ensemble import AdaptivePairs, AdaptiveRoutes
from bench.attacks.adaptive.frozen_route import FrozenRoute
from bench.attacks.adaptive.joint import Joint, JointTargeted
from bench.attacks.adaptive.measurements import DummyShare, RouterBehaviour
from bench.attacks.adaptive.merged import Merged
from bench.attacks.adaptive.naive import APGD, NaivePgd, OnRawLogits
from bench.attacks.adaptive.relaxed import RelaxedPairs, RelaxedSteering
from bench.attacks.adaptive.report import Measurement, Report, ReportedAttack
from bench.attacks.adaptive.routes import ADVERSARIAL, CLEAN, SteerableView, log_types, with_router
from bench.attacks.adaptive.steered_route import SteeredRoute
from bench.attacks.adaptive.swift import Swift
from bench.attacks.adaptive.views import ViewName, view_of

__all__ = [
    "ADVERSARIAL",
    "APGD",
    "CLEAN",
    "ENTRY",
    "AdaptivePairs",
    "AdaptiveRoutes",
    "DummyShare",
    "FrozenRoute",
    "Joint",
    "JointTargeted",
    "Measurement",
    "Merged",
    "NaivePgd",
    "OnRawLogits",
    "RelaxedPairs",
    "RelaxedSteering",
    "Report",
    "ReportedAttack",
    "RouterBehaviour",
    "SteerableView",
    "SteeredRoute",
    "Swift",
    "ViewName",
    "log_types",
    "view_of",
    "with_router",
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
