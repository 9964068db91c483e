"""The rows: where they lie, when one may replace another, how two compare, and the pages made of them."""

from bench.leaderboard.compare import AttackComparison, Comparison, compare
from bench.leaderboard.lock import board_of, locked
from bench.leaderboard.store import Identity, Written, amend, find, read, read_all, read_bytes, row_paths, write
from bench.leaderboard.suite_file import check_suite

__all__ = [
    "AttackComparison",
    "Comparison",
    "Identity",
    "Written",
    "amend",
    "board_of",
    "check_suite",
    "compare",
    "find",
    "locked",
    "read",
    "read_all",
    "read_bytes",
    "row_paths",
    "write",
]
