"""Text that fits its terminal: tables, lists and sentences of which no word is ever broken.

A file or a pipe has no width: there a table has each row on one line, so that other programs can read it.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TextIO

from rich.cells import cell_len

from bench.core.plain_text import plain

__all__ = ["shortened", "table", "wrapped"]

_UNLIMITED = 100_000  # a file or a pipe
_GAP = "  "
_READABLE = 16  # OUR CHOICE: text in a narrower column is harder to read than a list


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = (), shared: int = 0
) -> str:
    """A plain table, as wide as the terminal allows, where the result goes to one; a stranger's text stays in its cell.

    Where it does not fit without breaking words, or with columns too narrow to read, the rows come as a list.

    Args:
        headers: of the columns.
        rows: cells, as many in each row as there are headers.
        right: headers of the columns that are aligned to the right.
        shared: how many of the first columns become a heading over the rows that have them in common, before a list.
    """
    lines = [tuple(plain(str(cell)) for cell in row) for row in rows]
    width = _width(sys.stdout)
    if widths := _widths([headers, *lines], width):
        return _grid(headers, lines, widths, [header in right for header in headers])
    if shared:
        parts = [
            f"{wrapped(', '.join(common))}\n\n"
            + table(headers[shared:], [row[shared:] for row in members], right=right)
            for common, members in groupby(lines, key=lambda row: row[:shared])
        ]
        return "\n\n".join(parts)
    return "\n".join(_item(headers, row, width) for row in lines)


def wrapped(text: str, stream: TextIO | None = None) -> str:
    """Sentences, with new lines where the terminal ends, each as far to the right as its first; stdout for None."""
    width = _width(stream if stream is not None else sys.stdout)
    return text if width == _UNLIMITED else "\n".join(_indented(line, width) for line in text.split("\n"))


def shortened(text: str, width: int) -> str:
    """Text cut at a width, after a word where that keeps most of it.

    >>> shortened("R16 Do the attacks' examples obey the threat model?", 24)
    "R16 Do the attacks'\N{HORIZONTAL ELLIPSIS}"
    """
    return text if len(text) <= width else textwrap.shorten(text, max(width, 12), placeholder="\N{HORIZONTAL ELLIPSIS}")


def _width(stream: TextIO) -> int:
    return shutil.get_terminal_size().columns if stream.isatty() else _UNLIMITED


def _widths(lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Of the columns: the widest ones give way first; None where words would break or columns be too narrow."""
    columns = list(zip(*lines, strict=True))
    room = width - len(_GAP) * (len(columns) - 1)
    whole = [max(map(cell_len, column)) for column in columns]
    least = [
        max(min(most, _READABLE), *(cell_len(word) for cell in column for word in cell.split() or [""]))
        for column, most in zip(columns, whole, strict=True)
    ]
    if sum(least) > room:
        return None

    def given(cap: int) -> list[int]:
        return [max(few, min(most, cap)) for few, most in zip(least, whole, strict=True)]

    return given(max(cap for cap in range(max(whole) + 1) if sum(given(cap)) <= room))


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[bool]) -> str:
    lines = []
    for row in [headers, ["-" * width for width in widths], *rows]:
        cells = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = [
                " " * (width - cell_len(part)) + part if to_right else part + " " * (width - cell_len(part))
                for part, width, to_right in zip(parts, widths, right, strict=True)
            ]
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def _item(headers: Sequence[str], row: Sequence[str], width: int) -> str:
    """A row as an entry of a list: its first cell, and below it the others that say something."""
    start = max((len(header) for header in headers[1:]), default=0) + len(_GAP)
    lines = _folded(row[0], width)
    for header, cell in zip(headers[1:], row[1:], strict=True):
        folded = _folded(cell, width - len(_GAP) - start)
        lines += [f"{_GAP}{'' if number else header:{start}}{part}" for number, part in enumerate(folded) if part]
    return "\n".join(lines)


def _indented(line: str, width: int) -> str:
    margin = line[: len(line) - len(line.lstrip())]
    return "\n".join(margin + part for part in _folded(line.strip(), width - len(margin)))


def _folded(text: str, width: int) -> list[str]:
    """Text in lines of a width; a word that is longer has one of its own, whole."""
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
