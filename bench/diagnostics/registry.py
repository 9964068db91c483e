"""The checks by name, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.registry import Registry
from bench.diagnostics.check import Check

__all__ = ["CHECKS", "quick", "select"]

CHECKS: Registry[Check] = Registry("check", "bench.diagnostics.checks", key="id")


def select(ids: Sequence[str] | None = None) -> tuple[Check, ...]:
    """The checks called `ids`, or all of them, in the order of their numbers.

    Raises:
        UnknownNameError: if there is no such check.
    """
    chosen = {CHECKS.get(name.strip().upper()) for name in ids} if ids is not None else set(CHECKS)
    return tuple(sorted(chosen, key=lambda check: check.number))


def quick() -> tuple[Check, ...]:
    """The cheap ones, which every `bench run` makes."""
    return tuple(check for check in select() if check.short is not None)
