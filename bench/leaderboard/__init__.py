"""The rows: where they lie, when one may replace another, and how two compare."""

from bench.leaderboard.compare import AttackComparison, Comparison, compare, mcnemar
from bench.leaderboard.store import Identity, Written, find, read, read_all, write

__all__ = [
    "AttackComparison",
    "Comparison",
    "Identity",
    "Written",
    "compare",
    "find",
    "mcnemar",
    "read",
    "read_all",
    "write",
]
