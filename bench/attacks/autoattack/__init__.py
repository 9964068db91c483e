"""AutoAttack and its stages, run by the authors' package or by our own engine."""

from __future__ import annotations

from bench.attacks.autoattack.apgd import ApgdCe, ApgdDlr, ApgdT
from bench.attacks.autoattack.ensemble import AutoAttack, Cascade
from bench.attacks.autoattack.fab import FabT
from bench.attacks.autoattack.square import Square

__all__ = ["ENTRY", "ApgdCe", "ApgdDlr", "ApgdT", "AutoAttack", "Cascade", "FabT", "Square"]

ENTRY = (AutoAttack(), ApgdCe(), ApgdT(), FabT(), Square())
