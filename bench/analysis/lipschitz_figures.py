"""Figures of the analysis of Lipschitz constants."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.analysis.analysis import Values
from bench.analysis.drawing import canvas, legend, look

__all__ = ["smoothness", "spectra"]


def smoothness(values: Values) -> Figure:
    """Constant and stability of each model, against its multiplications."""
    figure, axes = canvas(1, 2, height=3.0)
    parts = (("lipschitz", 1.0, "empirical Lipschitz constant"), ("stable", 100.0, "stable under PGD-20 (%)"))
    for axis, (key, unit, label) in zip(axes, parts, strict=True):
        for number, (name, found) in enumerate(values["models"].items()):
            style, point = look(number), found[key]
            axis.errorbar(
                found["macs"] / 1e6,
                unit * point["value"],
                yerr=[[unit * (point["value"] - point["low"])], [unit * (point["high"] - point["value"])]],
                color=style.color,
                marker=style.marker,
                linestyle="",
                elinewidth=0.8,
                label=name,
            )
        axis.set(xlabel="multiplications (millions)", ylabel=label, ylim=(0, None))
    legend(axes[0], columns=3)
    return figure


def spectra(values: Values) -> Figure:
    """Spectral norm of each layer against its place."""
    figure, (axes,) = canvas(height=3.0)
    for number, (name, found) in enumerate(values["models"].items()):
        style = look(number)
        heights = [layer["spectral"] for layer in found["layers"]]
        axes.plot(
            range(1, len(heights) + 1),
            heights,
            color=style.color,
            marker=style.marker,
            linestyle=style.linestyle,
            label=name,
        )
    axes.set(xlabel="layer, in the order in which an input passes", ylabel="spectral norm", ylim=(0, None))
    legend(axes, columns=3)
    return figure
