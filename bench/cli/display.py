"""What every progress display has in common: it stands on stderr, moves on a terminal, and can be told to be quiet."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn

from bench.core.plain_text import plain

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Display"]


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
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
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

    def tell(self, line: str) -> None:
        """Show a remark, one line."""
        with contextlib.suppress(OSError):
            self._console.print(plain(line), markup=False)  # it may name files of strangers
