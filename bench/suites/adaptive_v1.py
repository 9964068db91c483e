"""`adaptive-v1`: `standard-v1`, and what the structure that a model declares calls for.

Which attacks run follows from the model alone: dummy classes bring `adaptive-pairs`, a router `adaptive-routes`, and a
model that declares nothing has the verdicts of `standard-v1`. The digest covers the whole rule for every model.

Published: never change it. A different list of attacks or parameters is `adaptive_v2.py`.
"""

from __future__ import annotations

from bench.attacks import PGD, TENTH
from bench.attacks.adaptive import (
    APGD,
    AdaptivePairs,
    AdaptiveRoutes,
    DummyShare,
    NaivePgd,
    OnRawLogits,
    ReportedAttack,
    RouterBehaviour,
)
from bench.suites import standard_v1
from bench.suites.suite import AttackSuite, Rule

__all__ = ["ENTRY"]

PGD_100 = PGD(name="pgd-100", steps=100, relative_step_size=TENTH)

PAIRS = Rule(
    structure="raw-pairs",
    attacks=(AdaptivePairs(),),
    reports=(
        ReportedAttack(name="naive-pgd-20", view="model", attack=NaivePgd()),
        ReportedAttack(name="naive-apgd", view="model", attack=OnRawLogits()),
        ReportedAttack(name="naive-apgd-raw", view="raw", attack=APGD),
        DummyShare(),
    ),
)
ROUTES = Rule(
    structure="routes",
    attacks=(AdaptiveRoutes(),),
    reports=(
        ReportedAttack(name="static-clean", view="static-clean", attack=PGD_100),
        ReportedAttack(name="static-adversarial", view="static-adversarial", attack=PGD_100),
        RouterBehaviour(),
    ),
)
ENTRY = AttackSuite(
    name="adaptive",
    version=1,
    summary="standard-v1, and attacks on the dummy classes or the router that a model declares",
    attacks=standard_v1.ENTRY.attacks,
    extends=standard_v1.ENTRY,
    rules=(PAIRS, ROUTES),
)
