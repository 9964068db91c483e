"""`swift-v1`: a whole test set in the time that AutoAttack takes for a thirtieth of it, and an audit of what it misses.

FGSM and PGD-20 are columns to compare with, and PGD-20 is what a model's cross-entropy is judged by. `docs/swift.md`
says what a row claims.

Published: never change it. A different list of attacks or parameters is `swift_v2.py`.
"""

from __future__ import annotations

from bench.attacks import FGSM, PGD, PGD_20_STEP
from bench.attacks.adaptive import Swift
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY"]

ENTRY = AttackSuite(
    name="swift",
    version=1,
    summary="FGSM, PGD-20, constraint relaxation audited by AutoAttack: for a whole test set",
    attacks=(FGSM(), PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP), Swift()),
)
