"""Figures of the analysis of always-failing examples."""

from __future__ import annotations

import base64

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.analysis.analysis import Values
from bench.analysis.drawing import COLOURS, GREY, canvas, legend, look
from bench.analysis.estimate import share
from bench.analysis.landing import PLACES

__all__ = ["classes", "gallery", "growth", "landing"]

_PLACE_COLOURS = ("#0072B2", "#9fd3f2", "#D55E00", "#f3c37a")
"""A dark and a light shade for a class and its dummy, so that they differ in print too."""
_WIDE_ENOUGH = 8.0


def growth(values: Values) -> Figure:
    """The share that all of k models fail on, for each k."""
    figure, (axes,) = canvas(height=3.0)
    found = values["growth"]
    sizes = range(1, len(found) + 1)
    style = look(0)
    axes.plot(sizes, [100 * each["mean"] for each in found], color=style.color, marker="o", label="mean over subsets")
    least, most = ([100 * each[end] for each in found] for end in ("least", "most"))
    axes.fill_between(sizes, least, most, color=style.color, alpha=0.15, linewidth=0)
    axes.axhline(100 * values["by_chance"], color=GREY, linestyle=":", label="all models, if they failed independently")
    axes.set(xlabel="number of models", ylabel="failed on by all (%)", ylim=(0, None), xticks=list(sizes))
    legend(axes)
    return figure


def classes(values: Values) -> Figure:
    """Always-failing examples of each class."""
    figure, (axes,) = canvas(height=3.0)
    found = [each for each in values["classes"] if each["n"]]
    points = [share(each["failing"], each["n"]) for each in found]
    bars = np.array([[point.value - point.low, point.high - point.value] for point in points]).T
    axes.errorbar(
        [100 * point.value for point in points],
        range(len(found)),
        xerr=100 * bars,
        color=COLOURS[0],
        marker="o",
        linestyle="",
        elinewidth=0.8,
    )
    axes.set(yticks=range(len(found)), yticklabels=[each["name"] for each in found], xlim=(0, 100))
    axes.set_xlabel("always failing (%)")
    axes.invert_yaxis()
    return figure


def gallery(values: Values) -> Figure:
    """Clean images above, the first model's stored breaks below, with the true class and what most models say."""
    found = values["gallery"]
    figure, axes = canvas(2, len(found), height=1.0)
    figure.set_size_inches(0.95 * len(found), 2.6)
    for column, each in enumerate(found):
        for row, key in enumerate(("clean", "broken")):
            axis = axes[row * len(found) + column]
            axis.axis("off")
            if each[key] is None:
                axis.text(0.5, 0.5, "wrong\nwhen clean", ha="center", va="center", fontsize=6)
                continue
            image = _pixels(each[key], each["shape"])
            axis.imshow(image.squeeze(), cmap="gray" if image.shape[-1] == 1 else None, interpolation="nearest")
        axes[column].set_title(f"{each['true']}\n{each['called']} ({each['votes']})", fontsize=6)
    return figure


def landing(values: Values) -> Figure:
    """Bars of places, one for each model and kind of input."""
    bars = [
        (f"{name}\n{kind}", counts) for name, places in values["landing"].items() for kind, counts in places.items()
    ]
    figure, (axes,) = canvas(height=1.4 + 0.36 * len(bars))
    left = np.zeros(len(bars))
    for number, place in enumerate(PLACES):
        widths = np.array([100 * counts[number] / sum(counts) for _, counts in bars])
        axes.barh(
            range(len(bars)),
            widths,
            left=left,
            color=_PLACE_COLOURS[number],
            edgecolor="white",
            linewidth=0.5,
            label=place,
        )
        for row in np.flatnonzero(widths >= _WIDE_ENOUGH).tolist():
            dark = number % 2 == 0
            middle = left[row] + widths[row] / 2
            axes.text(middle, row, f"{widths[row]:.0f}", ha="center", va="center", color="white" if dark else "black")
        left += widths
    axes.set(yticks=range(len(bars)), yticklabels=[label for label, _ in bars], xlim=(0, 100))
    axes.set_xlabel("share of examples (%)")
    axes.invert_yaxis()
    legend(axes, columns=2)
    return figure


def _pixels(text: str, shape: list[int]) -> NDArray[np.uint8]:
    """Packed pixels as `(H, W, C)`."""
    pixels: NDArray[np.uint8] = np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape).transpose(1, 2, 0)
    return pixels
