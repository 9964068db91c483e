"""AutoAttack and its stages, run by the authors' package or by our own engine."""

from __future__ import annotations

from bench.attacks.autoattack.cascade import Cascade, Triage
from bench.attacks.autoattack.ensemble import AutoAttack
from bench.attacks.autoattack.stages import ApgdCe, ApgdT, Engine, FabT, Square

__all__ = ["ENTRY", "ApgdCe", "ApgdT", "AutoAttack", "Cascade", "Engine", "FabT", "Square", "Triage"]

ENTRY = (AutoAttack(), ApgdCe(), ApgdT(), FabT(), Square())
