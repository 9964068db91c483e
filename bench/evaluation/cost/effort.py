"""How much work an attack is expected to be, before anything was measured."""

from __future__ import annotations

from bench.core.types import Attack

__all__ = ["effort"]

_FACTORS = ("steps", "restarts", "targets", "n_targets", "weights")


def effort(attack: Attack) -> float:
    """Model passes that the attack takes per example that withstands it, roughly.

    Read from the fields that attacks use for it: `queries`, one pass each; else `steps`, `restarts` and `targets`, or
    how many there are of something that is tried in turn, multiplied; each step is one pass forwards and one back, or
    as many as the attack's `passes_per_step` says.
    """
    queries = getattr(attack, "queries", None) or getattr(attack, "n_queries", None)
    if isinstance(queries, int):
        return float(queries)
    passes = float(getattr(attack, "passes_per_step", 2))
    for name in _FACTORS:
        value = getattr(attack, name, 1)
        count = len(value) if isinstance(value, tuple) else value
        passes *= count if isinstance(count, int) and count > 0 else 1
    return passes
