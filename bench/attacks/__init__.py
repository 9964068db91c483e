"""Attacks: one file each, found by name, all verified by the harness."""

from __future__ import annotations

from bench.attacks.attack import Ensemble, SingleAttack, StepSize, parameters
from bench.attacks.carlini_wagner_l2 import CarliniWagnerL2
from bench.attacks.constraint_relaxation import ConstraintRelaxation
from bench.attacks.cw import CW
from bench.attacks.eot import EoT, FrozenDraws
from bench.attacks.fgsm import FGSM
from bench.attacks.margin_ascent import MarginAscent
from bench.attacks.pgd import PGD, PGD_20_STEP, TENTH
from bench.attacks.transfer import Transfer
from bench.core.registry import Registry
from bench.core.types import Attack

__all__ = [
    "ATTACKS",
    "CW",
    "FGSM",
    "PGD",
    "PGD_20_STEP",
    "TENTH",
    "CarliniWagnerL2",
    "ConstraintRelaxation",
    "Ensemble",
    "EoT",
    "FrozenDraws",
    "MarginAscent",
    "SingleAttack",
    "StepSize",
    "Transfer",
    "get",
    "names",
    "parameters",
]

ATTACKS: Registry[Attack] = Registry("attack", "bench.attacks", group="bench.attacks")


def get(name: str) -> Attack:
    """The attack called `name`, with its standard parameters.

    Raises:
        UnknownNameError: if there is none; the message has the nearest name.
    """
    return ATTACKS.get(name)


def names() -> tuple[str, ...]:
    """The names of all attacks, sorted."""
    return ATTACKS.names()
