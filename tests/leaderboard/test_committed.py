"""The board that is committed."""

from __future__ import annotations

from pathlib import Path

from bench.leaderboard.pages.publication import outdated
from bench.leaderboard.store.rows import read_all

BOARD = Path(__file__).resolve().parent.parent.parent / "leaderboard"


def test_the_committed_pages_are_what_the_committed_rows_say() -> None:
    """Whoever changes a row or how pages look runs `bench publish` and commits what it writes."""
    assert outdated(BOARD) == ()


def test_no_diagnostic_of_a_committed_row_fails() -> None:
    """All shipped models are honest: no number on the board is an upper bound only."""
    rows = read_all(BOARD)
    assert all(row.result.diagnostics for _, row in rows)
    assert {path.name: each.evidence for path, row in rows for each in row.result.diagnostics if each.failed} == {}
