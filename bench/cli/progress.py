"""What the user sees while a command works: on a terminal a display that moves, else a line per part."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.cli.layout import shortened, wrapped
from bench.cli.tables import clock
from bench.core.plain_text import counted, plain

if TYPE_CHECKING:
    from typing_extensions import Self

    from bench import evaluation, training
    from bench.analysis import AnalysisProgress
    from bench.diagnostics import Examined
    from bench.jobs import conformance

__all__ = [
    "AnalysisDisplay",
    "ConformanceDisplay",
    "Display",
    "ExaminationDisplay",
    "JudgingDisplay",
    "RunDisplay",
    "TrainingDisplay",
]

_ROOMY = 100  # columns of a terminal that has room for a bar: without it no line has 80
_NUMBERS = 48  # columns that all but the description take at most


class _Stderr(Console):
    """A console that falls silent where nobody reads it any longer: that is no reason to end the work."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Display:
    """A progress display on stderr, to be used in a `with` block: what is done, a bar, how much of it, and more.

    Args:
        columns: what follows the count.
        quiet: show nothing at all.
    """

    def __init__(self, *columns: ProgressColumn, quiet: bool) -> None:
        self._console = _Stderr(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._moving = self._console.is_terminal and not quiet
        bar = [BarColumn(bar_width=24)] if self._console.width >= _ROOMY else []
        self._bars = Progress(
            TextColumn("{task.description}"),
            *bar,
            MofNCompleteColumn(),
            *columns,
            console=self._console,
            disable=not self._moving,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def notify(self, line: str) -> None:
        """Show a remark, one line."""
        with contextlib.suppress(OSError):
            # It may name files of strangers.
            self._console.print(wrapped(plain(line), sys.stderr), markup=False)

    def _described(self, text: str) -> str:
        """Text that leaves room for the numbers beside it."""
        return shortened(text, self._console.width - _NUMBERS)


class RunDisplay(Display):
    """Chunks or checks done, robust examples and the time left, stage by stage.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(
            TextColumn("{task.fields[found]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            quiet=quiet,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def update(self, event: evaluation.Progress) -> None:
        """Show how far the evaluation is."""
        name = event.attack if event.stage == event.attack else f"{event.attack} {event.stage}"
        count = counted(event.n_chunks, event.unit)
        found = f"{event.n_robust}/{event.n_examples} robust" if event.unit == "chunk" else count
        left = f"{clock(event.eta)} left" if event.eta is not None else ""
        if self._moving:
            self._move((event.attack, event.stage), name, event, found, left)
        elif event.chunk == event.n_chunks:
            parts = (found, f"{clock(event.seconds)} passed", left)
            self.notify(f"{name}: {', '.join(part for part in parts if part)}")

    def _move(self, key: tuple[str, str], name: str, event: evaluation.Progress, found: str, left: str) -> None:
        for other, task in self._tasks.items():
            if other != key:
                self._bars.update(task, left="")
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(self._described(name), total=event.n_chunks, found="", left="")
        self._bars.update(self._tasks[key], completed=event.chunk, found=found, left=left)


class JudgingDisplay(Display):
    """Inputs done, and the time left.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            quiet=quiet,
        )
        self._name = ""
        self._total = self._done = 0
        self._task: TaskID | None = None

    def begin(self, name: str, total: int) -> None:
        """Begin a part of the work: its name, and how many inputs it has."""
        self._name, self._total, self._done = name, total, 0
        self._task = self._bars.add_task(self._described(name), total=total)

    def advance(self, count: int) -> None:
        """Say that so many more inputs are done."""
        self._done += count
        if self._task is not None:
            self._bars.advance(self._task, count)
        if not self._moving and self._done == self._total:
            self.notify(f"{self._name}: {self._done} inputs")


class ExaminationDisplay(Display):
    """Checks done, and the time left.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(
            TextColumn("checks"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            quiet=quiet,
        )
        self._task = self._bars.add_task("Examining", total=None, left="")

    def update(self, event: Examined) -> None:
        """Show how far the examination is."""
        left = f"{clock(event.eta)} left" if event.following is not None else ""
        if not self._moving:
            parts = (event.diagnostic.status, f"{clock(event.seconds)} passed", left)
            self.notify(f"{event.check.id}: {', '.join(part for part in parts if part)}")
            return
        doing = f"{event.following.id} {event.following.question}" if event.following is not None else "Done"
        self._bars.update(
            self._task,
            description=self._described(doing),
            total=event.n_checks,
            completed=event.n_done,
            left=left,
        )


class AnalysisDisplay(Display):
    """Parts done, and the time left.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(TextColumn("parts"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"), quiet=quiet)
        self._task = self._bars.add_task("Measuring", total=None, left="")

    def update(self, event: AnalysisProgress) -> None:
        """Show how far the analysis is."""
        left = f"{clock(event.eta)} left" if event.eta is not None and event.task else ""
        if self._moving:
            doing = event.task or "Done"
            self._bars.update(
                self._task,
                description=self._described(doing),
                total=event.n_tasks,
                completed=event.n_done,
                left=left,
            )
        elif event.task:
            parts = (f"part {event.n_done + 1} of {event.n_tasks}", f"{clock(event.seconds)} passed", left)
            self.notify(f"{event.task}: {', '.join(part for part in parts if part)}")


class ConformanceDisplay(Display):
    """Models done, and the time left.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(TextColumn("models"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"), quiet=quiet)
        self._task = self._bars.add_task("Asking", total=None, left="")

    def update(self, event: conformance.ConformanceProgress) -> None:
        """Show which model is next, and what came out for the last one."""
        left = f"{clock(event.eta)} left" if event.eta is not None and event.task else ""
        if self._moving:
            doing = event.task or "Done"
            self._bars.update(self._task, description=doing, total=event.n_tasks, completed=event.n_done, left=left)
        elif event.case is not None:
            done = f"model {event.n_done} of {event.n_tasks}"
            parts = (event.case.suite.verdict, done, f"{clock(event.seconds)} passed", left)
            self.notify(f"{event.case.name}: {', '.join(part for part in parts if part)}")


class TrainingDisplay(Display):
    """Steps done of an epoch, and how it goes.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(
            TextColumn("steps  {task.fields[state]}"),
            quiet=quiet,
        )
        self._task = self._bars.add_task("starting", total=None, state="")

    def update(self, progress: training.TrainingProgress) -> None:
        """Show the step, loss, speed and the time that is left."""
        self._bars.update(
            self._task,
            description=f"epoch {progress.epoch + 1}/{progress.epochs}",
            completed=progress.step,
            total=progress.steps,
            state=f"loss {progress.loss:.3f}, {progress.images_per_second:.0f} images/s,"
            f" {clock(progress.eta_seconds)} left",
        )

    def epoch(self, result: training.EpochResult, epochs: int) -> None:
        """Leave a line for a finished epoch."""
        measured = "".join(f", {value:.1%} {name}" for name, value in result.measured.items())
        self.notify(
            f"epoch {result.epoch + 1}/{epochs}: loss {result.loss:.3f}, held out {result.clean:.1%} clean and"
            f" {result.robust:.1%} under PGD-10{measured}, {result.images_per_second:.0f} images/s,"
            f" {clock(result.seconds)} passed"
        )
