"""`quick-v1`: seconds instead of minutes, for regression checks in CI; no claim of robustness rests on it.

Published: never change it. A different list of attacks or parameters is `quick_v2.py`.
"""

from __future__ import annotations

from bench.attacks import FGSM, PGD
from bench.attacks.autoattack import ApgdCe
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY"]

ENTRY = AttackSuite(
    name="quick",
    version=1,
    summary="FGSM, PGD-20, APGD-CE with 50 steps: for continuous integration",
    attacks=(FGSM(), PGD(verdict_only=True), ApgdCe(steps=50)),
)
