"""`standard-v1`: what the field reports, from one step to AutoAttack.

Published: never change it. A different list of attacks or parameters is `standard_v2.py`.
"""

from __future__ import annotations

from bench.attacks import CW, FGSM, PGD, PGD_20_STEP, TENTH
from bench.attacks.autoattack import AutoAttack
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY"]

ENTRY = AttackSuite(
    name="standard",
    version=1,
    summary="FGSM, PGD-20, PGD-100, CW, AutoAttack: what a leaderboard row needs",
    attacks=(
        FGSM(),
        PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP),
        PGD(name="pgd-100", steps=100, relative_step_size=TENTH),
        CW(steps=50, relative_step_size=TENTH),
        AutoAttack(),
    ),
)
