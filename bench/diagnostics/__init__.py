"""Is a robustness number believable? Checks of models and attacks, one file each, with the evidence in the answer."""

from bench.diagnostics.check import Check
from bench.diagnostics.claim import claim_of
from bench.diagnostics.diagnosis import SHORT_EXAMPLES, diagnose, diagnose_briefly, short_form, short_passes
from bench.diagnostics.examination import Examined, examine, overall, unexamined
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.registry import CHECKS, quick, select
from bench.diagnostics.subject import Subject
from bench.diagnostics.traps import HONEST, TRAPS, Trap, withstand
from bench.diagnostics.verdicts import JUDGED, from_evaluation, merged

__all__ = [
    "CHECKS",
    "HONEST",
    "JUDGED",
    "SHORT_EXAMPLES",
    "TRAPS",
    "Check",
    "Examined",
    "Subject",
    "Trap",
    "claim_of",
    "diagnose",
    "diagnose_briefly",
    "examine",
    "from_evaluation",
    "is_wrong",
    "merged",
    "overall",
    "predict",
    "quick",
    "select",
    "short_form",
    "short_passes",
    "unexamined",
    "withstand",
]
