"""Figures of the analysis of curves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.analysis import Values
from bench.analysis.drawing import GREY, canvas, legend, look
from bench.analysis.estimate import share
from bench.analysis.stored_brackets import StoredBrackets
from bench.core.statistics import wilson

__all__ = ["curves", "trade_off"]

_GRID = 65


def curves(values: Values) -> Figure:
    """Robust accuracy of every model against the radius, up to half of the largest that was tried."""
    figure, (axes,) = canvas(height=3.6)
    epsilon: float = values["epsilon"]
    models: dict[str, Values] = values["models"]
    grid = np.linspace(0, min(found["ceiling"] for found in models.values()) / 2, _GRID)
    grid = np.union1d(grid, [epsilon])
    for number, (name, found) in enumerate(models.items()):
        brackets, style = StoredBrackets.of(found), look(number)
        total = len(brackets)
        counts = [brackets.n_robust(radius) if radius else brackets.n_clean for radius in grid]
        ends = np.array([wilson(count, total) for count in counts])
        axes.plot(
            grid / epsilon,
            [100 * count / total for count in counts],
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker,
            markevery=(number % 8, 8),
            label=name,
        )
        axes.fill_between(
            grid / epsilon, 100 * ends[:, 0], 100 * ends[:, 1], color=style.color, alpha=0.08, linewidth=0
        )
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel=f"radius in units of {values['epsilon_text']}", ylabel="robust accuracy (%)", ylim=(0, 100))
    legend(axes, columns=3 if len(models) > 2 else 2)
    return figure


def trade_off(values: Values) -> Figure:
    """A point with error bars for each model."""
    figure, (axes,) = canvas(height=3.6)
    for number, (name, found) in enumerate(values["models"].items()):
        brackets, style = StoredBrackets.of(found), look(number)
        clean, robust = (share(count, len(brackets)) for count in (brackets.n_clean, found["n_robust"]))
        axes.errorbar(
            100 * clean.value,
            100 * robust.value,
            xerr=[[100 * (clean.value - clean.low)], [100 * (clean.high - clean.value)]],
            yerr=[[100 * (robust.value - robust.low)], [100 * (robust.high - robust.value)]],
            color=style.color,
            marker=style.marker,
            linestyle="",
            elinewidth=0.6,
            label=name,
        )
    axes.set(xlabel="clean accuracy (%)", ylabel=f"robust accuracy at {values['epsilon_text']} (%)")
    legend(axes, columns=3 if len(values["models"]) > 2 else 2)
    return figure
