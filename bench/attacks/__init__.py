"""Attacks: one file each, found by name, all verified by the harness."""

from __future__ import annotations

from bench.attacks.attack import SingleAttack, StepSize, parameters
from bench.core.registry import Registry
from bench.core.types import Attack

__all__ = ["ATTACKS", "SingleAttack", "StepSize", "get", "names", "parameters"]

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
