"""The harness: every attack of a suite, every example, every verdict checked and kept."""

from bench.evaluation.confirm import Advance, Judge
from bench.evaluation.cost.estimate import Estimator
from bench.evaluation.cost.forecast import IN_PASSES, Costs
from bench.evaluation.counting import CountingClassifier, Passes
from bench.evaluation.evaluation import AttackOutcome, Evaluation, cost_of, result_of
from bench.evaluation.execution.executor import Executor, Pool
from bench.evaluation.execution.process_pool import ProcessPool
from bench.evaluation.execution.ray_pool import RayPool
from bench.evaluation.fingerprint import FINGERPRINT_IMAGES, take_fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.harness import assemble_plan, evaluate, evaluate_plan
from bench.evaluation.journal.chunks import CHUNK_SIZE, blocks_of, chunks_of
from bench.evaluation.journal.header import Header, InputDigests, code_digest
from bench.evaluation.journal.journal import default_journal, has_entries, open_journal, peek
from bench.evaluation.journal.merge import gather
from bench.evaluation.model_guard import device_of, guarded
from bench.evaluation.plan import RunPlan, default_batch_size, make_plan, settled
from bench.evaluation.progress import Progress, ProgressCallback
from bench.evaluation.results import StageResult
from bench.evaluation.sanity import check_surrogates, gives_gradient
from bench.evaluation.search_precision import (
    AUTO,
    FLOAT32,
    LADDER,
    MEASURED,
    PRECISIONS,
    choose_precision,
    precision_of_suite,
)
from bench.evaluation.verify import Judgement, inside, judge, pull_back
from bench.ops.full_float32 import full_float32

__all__ = [
    "AUTO",
    "CHUNK_SIZE",
    "FINGERPRINT_IMAGES",
    "FLOAT32",
    "IN_PASSES",
    "LADDER",
    "MEASURED",
    "PRECISIONS",
    "Advance",
    "AttackOutcome",
    "Costs",
    "CountingClassifier",
    "Estimator",
    "Evaluation",
    "Executor",
    "Forms",
    "Header",
    "InputDigests",
    "Judge",
    "Judgement",
    "Passes",
    "Pool",
    "ProcessPool",
    "Progress",
    "ProgressCallback",
    "RayPool",
    "RunPlan",
    "StageResult",
    "assemble_plan",
    "blocks_of",
    "check_surrogates",
    "choose_precision",
    "chunks_of",
    "code_digest",
    "cost_of",
    "default_batch_size",
    "default_journal",
    "device_of",
    "evaluate",
    "evaluate_plan",
    "full_float32",
    "gather",
    "gives_gradient",
    "guarded",
    "has_entries",
    "inside",
    "judge",
    "make_plan",
    "open_journal",
    "peek",
    "precision_of_suite",
    "pull_back",
    "result_of",
    "settled",
    "take_fingerprint",
]
