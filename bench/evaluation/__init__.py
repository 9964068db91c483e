"""The harness: every attack of a suite, every example, every verdict checked and kept."""

from bench.evaluation.cost.estimate import Estimator
from bench.evaluation.cost.forecast import IN_PASSES, Costs
from bench.evaluation.evaluate import assemble_plan, evaluate, evaluate_plan
from bench.evaluation.evaluation import AttackOutcome, Evaluation, cost_of, result_of
from bench.evaluation.fingerprint import fingerprint
from bench.evaluation.journal.header import Header, InputDigests
from bench.evaluation.journal.journal import default_journal, open_journal, peek
from bench.evaluation.plan import RunPlan, default_batch_size, make_plan, settled
from bench.evaluation.progress import Progress, ProgressCallback
from bench.evaluation.results import StageResult

__all__ = [
    "IN_PASSES",
    "AttackOutcome",
    "Costs",
    "Estimator",
    "Evaluation",
    "Header",
    "InputDigests",
    "Progress",
    "ProgressCallback",
    "RunPlan",
    "StageResult",
    "assemble_plan",
    "cost_of",
    "default_batch_size",
    "default_journal",
    "evaluate",
    "evaluate_plan",
    "fingerprint",
    "make_plan",
    "open_journal",
    "peek",
    "result_of",
    "settled",
]
