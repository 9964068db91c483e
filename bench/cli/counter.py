"""How many inputs are judged: on a terminal a bar with the time left, elsewhere a line at the end of each part."""

from __future__ import annotations

from rich.progress import (
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.cli.display import Display

__all__ = ["Counter"]


class Counter(Display):
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
        self._task = self._bars.add_task(name, total=total)

    def advance(self, count: int) -> None:
        """Say that so many more inputs are done."""
        self._done += count
        if self._task is not None:
            self._bars.advance(self._task, count)
        if not self._moving and self._done == self._total:
            self.tell(f"{self._name}: {self._done} inputs")
