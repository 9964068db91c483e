"""What an analysis looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from bench.core.types import Examples, ThreatModel
from bench.data import Dataset
from bench.models import LoadedModel
from bench.row.arrays import Breaks

__all__ = ["AnalysisSubject", "SuiteVerdicts"]


@dataclass(frozen=True, kw_only=True)
class SuiteVerdicts:
    """What a suite said of one model on the examples, from a stored row or from a run.

    Args:
        suite: its label.
        stored: whether it comes from a row.
        clean: whether each example is classified correctly.
        robust: whether each example is correct and withstood every attack.
        breaks: the strongest break that was kept of each broken example; an example without one may be missing.
        passes: forward and backward passes of examples that the attacks took on these examples.
    """

    suite: str
    stored: bool
    clean: tuple[bool, ...]
    robust: tuple[bool, ...]
    breaks: Breaks
    passes: float


@dataclass(frozen=True, kw_only=True)
class AnalysisSubject:
    """Models and examples.

    Args:
        models: in the user's order, all with different names, frozen and in eval mode.
        dataset: the test split.
        examples: those of it that are looked at.
        training: as many examples of the training split, or None where the dataset has none.
        threat_model: what an attacker may do.
        seed: of all draws.
        device: where the models are.
        verdicts: what the suite says of one of the models.
        suite: its label.
        rows: digests of the stored rows that say it, by model; the others are run.
        control: a model trained as the first one was, with another seed; None where none was given.
    """

    models: tuple[LoadedModel, ...]
    dataset: Dataset
    examples: Examples
    training: Callable[[], Examples | None]
    threat_model: ThreatModel
    seed: int
    device: torch.device
    verdicts: Callable[[LoadedModel], SuiteVerdicts]
    suite: str
    rows: Mapping[str, str] = field(default_factory=dict)
    control: LoadedModel | None = None
