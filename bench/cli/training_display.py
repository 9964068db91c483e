"""What the user sees while a model is trained: a bar for the epoch, and a line for each that is finished."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.training.loop import EpochResult, Progress

__all__ = ["TrainingDisplay"]


class TrainingDisplay:
    """A progress display on stderr, to be used in a `with` block.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[state]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, state="")

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show the step, loss, speed and the time that is left."""
        self._bar.update(
            self._task,
            description=f"epoch {progress.epoch + 1}/{progress.epochs}",
            completed=progress.step,
            total=progress.steps,
            state=f"loss {progress.loss:.3f}, {progress.images_per_second:.0f} images/s,"
            f" {clock(progress.eta_seconds)} left",
        )

    def epoch(self, result: EpochResult, epochs: int) -> None:
        """Leave a line for a finished epoch."""
        self._console.print(
            f"epoch {result.epoch + 1}/{epochs}: loss {result.loss:.3f}, held out {result.clean:.1%} clean and"
            f" {result.robust:.1%} under PGD-10, {result.images_per_second:.0f} images/s,"
            f" {clock(result.seconds)} passed",
            markup=False,
        )
