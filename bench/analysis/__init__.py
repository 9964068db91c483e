"""What the papers claim, re-measured: one file of `bench.analysis.observations` for each analysis."""

from __future__ import annotations

from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.page import make_page
from bench.analysis.report import Looked, Report, dump_report, read_report
from bench.analysis.subject import AnalysisSubject, SuiteVerdicts
from bench.analysis.work import AnalysisProgress, Done, carry_out
from bench.core.registry import Registry

__all__ = [
    "ANALYSES",
    "Analysis",
    "AnalysisProgress",
    "AnalysisSubject",
    "AnalysisTask",
    "Claim",
    "ClaimVerdict",
    "Done",
    "Looked",
    "Report",
    "SuiteVerdicts",
    "Table",
    "Values",
    "carry_out",
    "dump_report",
    "make_page",
    "read_report",
]

ANALYSES: Registry[Analysis] = Registry("analysis", "bench.analysis.observations")
