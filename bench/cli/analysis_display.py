"""What the user sees while an analysis runs: on a terminal a bar that moves, elsewhere a line per part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import TextColumn, TimeElapsedColumn

from bench.cli.display import Display
from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.analysis.work import Progress

__all__ = ["AnalysisDisplay"]


class AnalysisDisplay(Display):
    """Parts done, and the time left.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(TextColumn("parts"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"), quiet=quiet)
        self._task = self._bars.add_task("Measuring", total=None, left="")

    def update(self, event: Progress) -> None:
        """Show how far the analysis is."""
        left = f"{clock(event.eta)} left" if event.eta is not None and event.task else ""
        if self._moving:
            doing = event.task or "Done"
            self._bars.update(self._task, description=doing, total=event.n_tasks, completed=event.n_done, left=left)
        elif event.task:
            parts = (f"part {event.n_done + 1} of {event.n_tasks}", f"{clock(event.seconds)} passed", left)
            self.tell(f"{event.task}: {', '.join(part for part in parts if part)}")
