"""What the papers claim, re-measured: one file of `bench.analysis.observations` for each analysis."""

from __future__ import annotations

from bench.analysis.analysis import Analysis, Claim, Table, Task, Values, Verdict
from bench.analysis.report import Report
from bench.analysis.subject import Subject, SuiteVerdicts
from bench.core.registry import Registry

__all__ = [
    "ANALYSES",
    "Analysis",
    "Claim",
    "Report",
    "Subject",
    "SuiteVerdicts",
    "Table",
    "Task",
    "Values",
    "Verdict",
]

ANALYSES: Registry[Analysis] = Registry("analysis", "bench.analysis.observations")
