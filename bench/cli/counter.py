"""How many inputs are judged: on a terminal a bar with the time left, elsewhere a line at the end of each part."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Counter"]


class Counter:
    """A progress display on stderr, to be used in a `with` block.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._moving = self._console.is_terminal and not quiet
        self._name = ""
        self._total = self._done = 0
        self._task: TaskID | None = None
        self._display = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._moving,
        )

    def __enter__(self) -> Counter:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def begin(self, name: str, total: int) -> None:
        """Begin a part of the work: its name, and how many inputs it has."""
        self._name, self._total, self._done = name, total, 0
        self._task = self._display.add_task(name, total=total)

    def advance(self, count: int) -> None:
        """Say that so many more inputs are done."""
        self._done += count
        if self._task is not None:
            self._display.advance(self._task, count)
        if not self._moving and self._done == self._total:
            self._console.print(f"{self._name}: {self._done} inputs", markup=False)
