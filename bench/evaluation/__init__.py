"""The harness: every attack of a suite, every example, every verdict checked and kept."""

from bench.evaluation.evaluate import evaluate, plan
from bench.evaluation.evaluation import AttackOutcome, Evaluation, StageOutcome, cost_of, result_of
from bench.evaluation.header import Header, Identity
from bench.evaluation.journal import default_journal
from bench.evaluation.progress import Progress, ProgressCallback

__all__ = [
    "AttackOutcome",
    "Evaluation",
    "Header",
    "Identity",
    "Progress",
    "ProgressCallback",
    "StageOutcome",
    "cost_of",
    "default_journal",
    "evaluate",
    "plan",
    "result_of",
]
