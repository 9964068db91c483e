"""`adaptive-v2`: `adaptive-v1` and constraint relaxation, plain and on what a structure calls for.

The strongest published suite, and the default of `bench submit`. Constraint relaxation goes another way than
AutoAttack, for about a thirtieth of its passes.

Published: never change it. A different list of attacks or parameters is `adaptive_v3.py`.
"""

from __future__ import annotations

import dataclasses

from bench.attacks import ConstraintRelaxation
from bench.attacks.adaptive import RelaxedPairs, RelaxedSteering
from bench.suites import adaptive_v1
from bench.suites.suite import AttackSuite, Rule

__all__ = ["ENTRY"]

PAIRS, ROUTES = adaptive_v1.ENTRY.rules
ENTRY = AttackSuite(
    name="adaptive",
    version=2,
    summary="adaptive-v1 and constraint relaxation, on any model and on what a structure calls for",
    attacks=adaptive_v1.ENTRY.attacks,
    extends=adaptive_v1.ENTRY.extends,
    rules=(
        Rule(structure=None, attacks=(ConstraintRelaxation(),)),
        dataclasses.replace(PAIRS, attacks=(*PAIRS.attacks, RelaxedPairs())),
        dataclasses.replace(ROUTES, attacks=(*ROUTES.attacks, RelaxedSteering())),
    ),
)
