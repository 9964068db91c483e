"""What the user sees while a model is examined: on a terminal a bar that moves, elsewhere a line per check."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.diagnostics import Examined

__all__ = ["ExaminationDisplay"]


class ExaminationDisplay:
    """A progress display on stderr, to be used in a `with` block.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._console = console
        self._moving = console.is_terminal and not quiet
        self._display = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("checks"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._moving,
        )
        self._task = self._display.add_task("Examining", total=None, left="")

    def __enter__(self) -> ExaminationDisplay:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def tell(self, line: str) -> None:
        """Show a remark, one line."""
        self._console.print(line, markup=False)

    def update(self, event: Examined) -> None:
        """Show how far the examination is."""
        left = f"{clock(event.eta)} left" if event.following is not None else ""
        if not self._moving:
            parts = (event.diagnostic.status, f"{clock(event.seconds)} passed", left)
            self.tell(f"{event.check.id}: {', '.join(part for part in parts if part)}")
            return
        doing = f"{event.following.id} {event.following.question}" if event.following is not None else "Done"
        self._display.update(self._task, description=doing, total=event.n_checks, completed=event.n_done, left=left)
