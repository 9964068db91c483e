"""The harness: every attack of a suite, every example, every verdict checked and kept."""

from bench.evaluation.cost.costs import IN_PASSES, Costs
from bench.evaluation.cost.estimate import Prediction, Prospect
from bench.evaluation.evaluate import evaluate, plan
from bench.evaluation.evaluation import AttackOutcome, Evaluation, cost_of, result_of
from bench.evaluation.fingerprint import fingerprint
from bench.evaluation.journal.header import Header, Identity
from bench.evaluation.journal.journal import default_journal, open_journal, peek
from bench.evaluation.progress import Progress, ProgressCallback
from bench.evaluation.results import StageResult

__all__ = [
    "IN_PASSES",
    "AttackOutcome",
    "Costs",
    "Evaluation",
    "Header",
    "Identity",
    "Prediction",
    "Progress",
    "ProgressCallback",
    "Prospect",
    "StageResult",
    "cost_of",
    "default_journal",
    "evaluate",
    "fingerprint",
    "open_journal",
    "peek",
    "plan",
    "result_of",
]
