"""Is a robustness number believable? Checks of models and attacks, one file each, with the evidence in the answer."""

from bench.diagnostics.check import Check
from bench.diagnostics.claim import claim_of
from bench.diagnostics.diagnosis import SHORT_EXAMPLES, diagnose, diagnose_briefly, short_form, short_passes
from bench.diagnostics.examination import Examined, examine, overall, unexamined
from bench.diagnostics.registry import CHECKS, quick, select
from bench.diagnostics.subject import Subject
from bench.diagnostics.verdicts import JUDGED, from_evaluation, merged

__all__ = [
    "CHECKS",
    "JUDGED",
    "SHORT_EXAMPLES",
    "Check",
    "Examined",
    "Subject",
    "claim_of",
    "diagnose",
    "diagnose_briefly",
    "examine",
    "from_evaluation",
    "merged",
    "overall",
    "quick",
    "select",
    "short_form",
    "short_passes",
    "unexamined",
]
