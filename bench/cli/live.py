"""What the user sees while an evaluation runs: on a terminal a display that moves, elsewhere a line per stage."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.evaluation import Progress as Event

__all__ = ["Live"]


class Live:
    """A progress display on stderr, to be used in a `with` block.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._console = console
        self._moving = console.is_terminal and not quiet
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._display = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("chunks"),
            TextColumn("{task.fields[robust]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._moving,
        )

    def __enter__(self) -> Live:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def tell(self, line: str) -> None:
        """Show a remark, one line."""
        self._console.print(line, markup=False)

    def update(self, event: Event) -> None:
        """Show how far the evaluation is."""
        name = event.attack if event.stage == event.attack else f"{event.attack} {event.stage}"
        robust = f"robust so far {event.n_robust}/{event.n_examples}"
        left = f"{clock(event.eta)} left" if event.eta is not None else ""
        if self._moving:
            self._move((event.attack, event.stage), name, event, robust, left)
        elif event.chunk == event.n_chunks:
            done = "1 chunk" if event.n_chunks == 1 else f"{event.n_chunks} chunks"
            parts = (done, robust, f"{clock(event.seconds)} passed", left)
            self.tell(f"{name}: {', '.join(part for part in parts if part)}")

    def _move(self, key: tuple[str, str], name: str, event: Event, robust: str, left: str) -> None:
        for other, task in self._tasks.items():
            if other != key:
                self._display.update(task, left="")
        if key not in self._tasks:
            self._tasks[key] = self._display.add_task(name, total=event.n_chunks, robust="", left="")
        self._display.update(self._tasks[key], completed=event.chunk, robust=robust, left=left)
