"""Standard training, the baseline without robustness."""

from __future__ import annotations

from bench.training.objectives.standard import Standard
from bench.training.recipe import Plan, Recipe
from bench.training.scales import PAPER_DIFFERENCES, medium, small, tiny
from bench.training.schedule import Steps

ENTRY = Recipe(
    name="standard",
    title="cross-entropy on clean images: the baseline without robustness",
    paper="He et al. 2016, arXiv 1512.03385; schedule of Rice et al. 2020, arXiv 2002.11569",
    scales={
        "paper": Plan(
            architecture="resnet18",
            arguments={"width": 64},
            objective=Standard(),
            epochs=200,
            schedule=Steps(base=0.1, milestones=(100, 150), of=200),
            differences=(*PAPER_DIFFERENCES, "ResNet-18 on raw inputs instead of PreActResNet-18 on normalised ones"),
        ),
        "medium": medium(Standard()),
        "small": small(Standard(), epochs=12),
        "tiny": tiny(Standard()),
    },
)
