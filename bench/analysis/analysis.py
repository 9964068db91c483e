"""What an analysis is: work in parts, conclusions from the parts, and how they are told and drawn.

What is told and drawn follows from the values alone, which are JSON: so pages and plots can be made again from the
stored result.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.analysis.subject import AnalysisSubject
    from bench.models import LoadedModel

__all__ = ["Analysis", "AnalysisTask", "Claim", "ClaimVerdict", "Table", "Values"]

_LEAST = 16

Values = dict[str, Any]
"""JSON values by name."""


class ClaimVerdict(str, enum.Enum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNSETTLED = "not settled"

    @classmethod
    def of_less(cls, low: float, high: float) -> ClaimVerdict:
        """Of the claim that a number is below 0, by its interval."""
        return cls.HOLDS if high < 0 else cls.FAILS if low > 0 else cls.UNSETTLED


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement and what the numbers say of it.

    Args:
        text: the statement, one sentence.
        verdict: one of the values of `ClaimVerdict`.
        evidence: the numbers, one sentence.
    """

    text: str
    verdict: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers as text.

    Args:
        title: what they are, and in what unit.
        headers: of the columns.
        rows: cells, as many in each row as there are headers.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class AnalysisTask:
    """A part of the work that is kept once it is done.

    Args:
        name: what it is about; no two of an analysis are called the same.
        about: the models that it looks at, so that what is kept serves with other models beside them too.
        effort: its share of the time, in any unit.
        work: does it; what it returns goes through JSON.
    """

    name: str
    about: tuple[LoadedModel, ...]
    effort: float
    work: Callable[[], Values]


@dataclass(frozen=True, kw_only=True)
class Analysis(abc.ABC):
    """One observation that can be measured again; its fields are its parameters, which the result records.

    A subclass is a frozen dataclass with these class attributes:

    Attributes:
        name: what `bench analyze` calls it.
        question: what it asks, in a few words.
        source: the paper whose observation it is.
        samples: how many examples are looked at by default.
        most: how many over all models together, which keeps the default to some minutes; None for no such bound.
        least_models: how many models it needs.
        takes_control: whether `--control` means something to it.
        uses_suite: whether it asks what a suite says of the models.
        follows_rows: whether it looks, by default, at all examples that the rows of all models cover.
        choices: what the source does not settle and how it is done here, a sentence each.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    source: ClassVar[str]
    samples: ClassVar[int] = 64
    most: ClassVar[int | None] = None
    least_models: ClassVar[int] = 1
    takes_control: ClassVar[bool] = False
    uses_suite: ClassVar[bool] = False
    follows_rows: ClassVar[bool] = False
    choices: ClassVar[tuple[str, ...]] = ()

    def samples_for(self, n_models: int) -> int:
        """How many examples are looked at by default, of so many models."""
        return self.samples if self.most is None else max(_LEAST, min(self.samples, self.most // n_models))

    @abc.abstractmethod
    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """Return the work, in order.

        Raises:
            BenchError: if the subject is not what the analysis needs.
        """

    @abc.abstractmethod
    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """Put together what the tasks returned, by their names."""

    @abc.abstractmethod
    def claims(self, values: Values) -> tuple[Claim, ...]:
        """What the values say of each claim."""

    @abc.abstractmethod
    def tables(self, values: Values) -> tuple[Table, ...]:
        """The values as tables."""

    @abc.abstractmethod
    def draw(self, values: Values) -> Mapping[str, Figure]:
        """The values as figures, by name; a name is the title of its figure."""
