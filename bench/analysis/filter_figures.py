"""Figures of the analysis of filters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.analysis import Values
from bench.analysis.drawing import GREY, canvas, legend, look
from bench.analysis.filters import STATISTICS
from bench.analysis.routing import BINS

__all__ = ["depth", "signals", "weights"]


def depth(values: Values) -> Figure:
    """KS distance of each twin, layer by layer, with what chance would give."""
    figure, axes = canvas(1, 2, height=3.0)
    for axis, (key, label) in zip(axes, (("norm", STATISTICS["norm"]), ("shape", "ratio free of scale")), strict=True):
        for number, (name, pair) in enumerate(values["pairs"].items()):
            style = look(number)
            heights = [layer[key]["ks"] for layer in pair["layers"]]
            axis.plot(
                range(1, len(heights) + 1),
                heights,
                color=style.color,
                marker=style.marker,
                linestyle=style.linestyle,
                label=name,
            )
        first = next(iter(values["pairs"].values()))
        chance = [layer[key]["by_chance"] for layer in first["layers"]]
        axis.plot(range(1, len(chance) + 1), chance, color=GREY, linestyle=":", label="by chance (95 %)")
        axis.set(xlabel="convolution, from the input", ylabel=f"KS, {label}", ylim=(0, 1.05))
    legend(axes[0], columns=2)
    return figure


def weights(values: Values) -> Figure:
    """Histograms of all weights of three layers, the first model's and its first twin's."""
    name, pair = next(iter(values["pairs"].items()))
    found = pair["layers"]
    chosen = [found[0], found[len(found) // 2], found[-1]]
    figure, axes = canvas(1, len(chosen), height=2.6)
    for axis, layer in zip(axes, chosen, strict=True):
        for number, (label, counts) in enumerate(zip((values["first"], name), layer["weights"], strict=True)):
            style, width = look(number), 2 * layer["reach"] / len(counts)
            centres = layer["reach"] * (2 * (np.arange(len(counts)) + 0.5) / len(counts) - 1)
            heights = np.array(counts) / (sum(counts) * width)
            axis.step(centres, heights, where="mid", color=style.color, linestyle=style.linestyle, label=label)
        axis.set(title=layer["name"], xlabel="weight", ylabel="density")
    legend(axes[1], columns=2)
    return figure


def signals(routers: Mapping[str, Values]) -> Figure:
    """Histograms of the signals of three layers of the first model with a router."""
    name, found = next(iter(routers.items()))
    parts = found["layers"]
    chosen = sorted({0, len(parts) // 2, len(parts) - 1})
    figure, axes = canvas(1, len(chosen), height=2.6)
    centres = (np.array(BINS[:-1]) + np.array(BINS[1:])) / 2
    for axis, place in zip(axes, chosen, strict=True):
        for number, kind in enumerate(("clean", "adversarial")):
            style, heights = look(number), np.array(parts[place][kind], np.float64)
            axis.step(
                centres,
                100 * heights / heights.sum(),
                where="mid",
                color=style.color,
                linestyle=style.linestyle,
                label=kind,
            )
        axis.set(title=f"{name}, regulated convolution {place + 1}", xlabel="signal", ylabel="share (%)")
    legend(axes[len(chosen) // 2], columns=2)
    return figure
