"""What the user sees while an evaluation runs: on a terminal a display that moves, elsewhere a line per stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import TaskID, TextColumn, TimeElapsedColumn

from bench.cli.tables import clock

if TYPE_CHECKING:
    from bench.evaluation import Progress as Event

from bench.cli.display import Display

__all__ = ["Live"]


class Live(Display):
    """Chunks or checks done, robust examples and the time left, stage by stage.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(
            TextColumn("{task.fields[unit]}s"),
            TextColumn("{task.fields[robust]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            quiet=quiet,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def update(self, event: Event) -> None:
        """Show how far the evaluation is."""
        name = event.attack if event.stage == event.attack else f"{event.attack} {event.stage}"
        robust = f"robust so far {event.n_robust}/{event.n_examples}"
        left = f"{clock(event.eta)} left" if event.eta is not None else ""
        if self._moving:
            self._move((event.attack, event.stage), name, event, robust, left)
        elif event.chunk == event.n_chunks:
            done = f"{event.n_chunks} {event.unit}" + ("" if event.n_chunks == 1 else "s")
            parts = (done, robust, f"{clock(event.seconds)} passed", left)
            self.tell(f"{name}: {', '.join(part for part in parts if part)}")

    def _move(self, key: tuple[str, str], name: str, event: Event, robust: str, left: str) -> None:
        for other, task in self._tasks.items():
            if other != key:
                self._bars.update(task, left="")
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(name, total=event.n_chunks, unit=event.unit, robust="", left="")
        self._bars.update(self._tasks[key], completed=event.chunk, robust=robust, left=left)
