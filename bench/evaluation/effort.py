"""How much work an attack is expected to be; only the estimate of the time left depends on it."""

from __future__ import annotations

from bench.core.types import Attack

__all__ = ["effort"]

_FACTORS = ("steps", "restarts", "targets", "n_targets")


def effort(attack: Attack) -> float:
    """Model passes that the attack takes per example, roughly: a query is one, a gradient step is two.

    Read from the fields that attacks use for it: `queries`; else `steps`, `restarts` and `targets`, multiplied.
    """
    queries = getattr(attack, "queries", None) or getattr(attack, "n_queries", None)
    if isinstance(queries, int):
        return float(queries)
    passes = 2.0
    for name in _FACTORS:
        value = getattr(attack, name, 1)
        passes *= value if isinstance(value, int) and value > 0 else 1
    return passes
