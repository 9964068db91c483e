"""Figures of the analysis of landscapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.analysis import Values
from bench.analysis.drawing import canvas, legend, look

__all__ = ["curves"]


def curves(values: Values) -> Figure:
    """Mean loss along each direction, thin, and over all directions, thick; one panel for each split."""
    models: dict[str, Any] = values["models"]
    splits = list(next(iter(models.values())))
    figure, axes = canvas(1, len(splits), height=3.2)
    distances = np.array(values["distances"])
    place = int(np.searchsorted(distances, 0))
    for axis, split in zip(axes, splits, strict=True):
        for number, (name, sides) in enumerate(models.items()):
            style = look(number)
            lines = np.insert(np.array(sides[split]["curves"]), place, sides[split]["centre"]["value"], axis=1)
            for line in lines:
                axis.plot(np.insert(distances, place, 0), line, color=style.color, linewidth=0.5, alpha=0.6)
            axis.plot(
                np.insert(distances, place, 0),
                lines.mean(axis=0),
                color=style.color,
                marker=style.marker,
                linestyle=style.linestyle,
                label=name,
            )
        axis.set(title=f"{split} images", xlabel="distance along the direction", ylabel="adversarial loss")
    legend(axes[-1], columns=2)
    return figure
