"""`cascade-v1`: AutoAttack's verdict as an interval, for a fraction of its time; its rows are not ranked.

Published: never change it. A different list of attacks or parameters is `cascade_v2.py`.
"""

from __future__ import annotations

from bench.attacks.autoattack import Cascade
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY"]

ENTRY = AttackSuite(
    name="cascade",
    version=1,
    summary="AutoAttack, FAB-T and Square on part of the survivors: an interval, not ranked",
    attacks=(Cascade(),),
)
