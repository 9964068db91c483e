"""Two rows side by side: which verdicts flipped, whether rounding explains it, whether it is a step back."""

from bench.leaderboard.compare.agreement import Cause, agree
from bench.leaderboard.compare.comparison import AttackComparison, Comparison, compare
from bench.leaderboard.compare.ranking import Rank, rank
from bench.leaderboard.compare.regression import Change, new_checkpoint, same_checkpoint

__all__ = [
    "AttackComparison",
    "Cause",
    "Change",
    "Comparison",
    "Rank",
    "agree",
    "compare",
    "new_checkpoint",
    "rank",
    "same_checkpoint",
]
