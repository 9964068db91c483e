"""`rand-v1`: stochastic models, attacked on means over many passes and judged by many fresh ones.

AutoAttack's version `rand` is APGD on the cross-entropy and on the DLR loss with 20 passes for each gradient. Here PGD
stands before them, and constraint relaxation and what breaks the model with its draws held fixed behind.

Published: never change it. A different list of attacks or parameters is `rand_v2.py`.
"""

from __future__ import annotations

from bench.attacks import PGD, ConstraintRelaxation, EoT, FrozenDraws
from bench.attacks.autoattack import ApgdCe, ApgdDlr
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY"]

ENTRY = AttackSuite(
    name="rand",
    version=1,
    summary="EoT-PGD-20, AutoAttack's rand (EoT-APGD-CE and -DLR), constraint relaxation: for stochastic models",
    stochastic=True,
    attacks=(
        EoT(name="eot-pgd-20", attack=PGD()),
        EoT(name="eot-apgd-ce", attack=ApgdCe(engine="fast")),
        EoT(name="eot-apgd-dlr", attack=ApgdDlr(engine="fast")),
        EoT(name="eot-constraint-relaxation", attack=ConstraintRelaxation()),
        FrozenDraws(name="frozen-draws", attack=ConstraintRelaxation()),
    ),
)
