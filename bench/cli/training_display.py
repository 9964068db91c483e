"""What the user sees while a model is trained: a bar for the epoch, and a line for each that is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import TextColumn

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.training.run import EpochResult, Progress

from bench.cli.display import Display

__all__ = ["TrainingDisplay"]


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

    def update(self, progress: Progress) -> None:
        """Show the step, loss, speed and the time that is left."""
        self._bars.update(
            self._task,
            description=f"epoch {progress.epoch + 1}/{progress.epochs}",
            completed=progress.step,
            total=progress.steps,
            state=f"loss {progress.loss:.3f}, {progress.images_per_second:.0f} images/s,"
            f" {clock(progress.eta_seconds)} left",
        )

    def epoch(self, result: EpochResult, epochs: int) -> None:
        """Leave a line for a finished epoch."""
        measured = "".join(f", {value:.1%} {name}" for name, value in result.measured.items())
        self.tell(
            f"epoch {result.epoch + 1}/{epochs}: loss {result.loss:.3f}, held out {result.clean:.1%} clean and"
            f" {result.robust:.1%} under PGD-10{measured}, {result.images_per_second:.0f} images/s,"
            f" {clock(result.seconds)} passed"
        )
