"""How figures look: small, readable in print, and told apart without colour."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.analysis import Analysis, Values

__all__ = ["Look", "canvas", "drawn", "legend", "look", "rendered"]

GREY = "#777777"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours that are told apart by the colour-blind (Okabe and Ito 2008), the darker ones first."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
_WIDTH = 3.5  # inches; one column of a page
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "text.parse_math": False,  # a dollar in a model's name is no formula
    "svg.fonttype": "none",  # text stays text: smaller files, and it can be searched
    "svg.hashsalt": "bench",  # the same figure gives the same bytes
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "figure.dpi": 100.0,
}


class Look(NamedTuple):
    """How a series is drawn; no two of the first 28 share colour and dashes, nor colour and marker."""

    color: str
    marker: str
    linestyle: str


def look(number: int) -> Look:
    """The look of series `number`, from 0."""
    return Look(
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        linestyle=DASHES[number % len(DASHES)],
    )


def canvas(rows: int = 1, columns: int = 1, *, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes, row by row.

    Args:
        rows: of axes.
        columns: of axes.
        height: of one row, in inches.
    """
    figure = Figure(figsize=(_WIDTH * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flatten())


def drawn(analysis: Analysis, values: Values) -> dict[str, Figure]:
    """The figures of an analysis in the house's style, by their titles."""
    with matplotlib.rc_context(_STYLE):
        return dict(analysis.draw(values))


def legend(axes: Axes, *, columns: int = 1) -> None:
    """A legend below the axes, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns)


def rendered(figure: Figure) -> dict[str, bytes]:
    """The figure as files, by their endings; the same figure gives the same bytes on one machine."""
    files = {}
    with matplotlib.rc_context(_STYLE):
        for ending, options in (
            ("png", {"dpi": 120, "metadata": {"Software": None}}),
            ("svg", {"metadata": {"Date": None, "Creator": None}}),
            ("pdf", {"metadata": {"CreationDate": None}}),  # at its size in print: a page's column for each axes
        ):
            file = io.BytesIO()
            figure.savefig(file, format=ending, **options)
            files[ending] = file.getvalue()
    return files
