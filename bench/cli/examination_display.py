"""What the user sees while a model is examined: on a terminal a bar that moves, elsewhere a line per check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import TextColumn, TimeElapsedColumn

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.diagnostics import Examined

from bench.cli.display import Display

__all__ = ["ExaminationDisplay"]


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
            self.tell(f"{event.check.id}: {', '.join(part for part in parts if part)}")
            return
        doing = f"{event.following.id} {event.following.question}" if event.following is not None else "Done"
        self._bars.update(self._task, description=doing, total=event.n_checks, completed=event.n_done, left=left)
