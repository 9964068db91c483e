"""Is a board still true? Its files, and its rows against those of a git revision."""

from bench.leaderboard.checks.files import Inspection, inspect_board, inspect_checkpoints
from bench.leaderboard.checks.revision import against, rows_at

__all__ = ["Inspection", "against", "inspect_board", "inspect_checkpoints", "rows_at"]
