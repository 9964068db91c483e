"""Tables for other programs: markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from bench.core.plain_text import plain

__all__ = ["latex_table", "markdown_table"]


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """A table of GitHub's markdown; arguments as of `tables.table`."""
    shown = [[plain(str(cell)).replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows]
    return _table(headers, shown, right, "pipe")


def latex_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """A tabular with the lines of booktabs, its special characters escaped; arguments as of `tables.table`."""
    shown = [[plain(str(cell)) for cell in row] for row in rows]
    return f"% \\usepackage{{booktabs}}\n{_table(headers, shown, right, 'latex_booktabs')}"


def _table(headers: Sequence[str], rows: list[list[str]], right: Sequence[str], form: str) -> str:
    alignment = ["right" if header in right else "left" for header in headers]
    return str(tabulate(rows, headers=headers, tablefmt=form, colalign=alignment, disable_numparse=True))
