"""Standard training, the baseline without robustness."""

from __future__ import annotations

from bench.training.objectives.standard import Standard
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    FEW_ATTACK_STEPS,
    MEDIUM_DIFFERENCES,
    ON_RAW_INPUTS,
    PAPER_DIFFERENCES,
    SMALL_DIFFERENCES,
    medium,
    small,
    tiny,
)
from bench.training.schedule import Steps


def without_attack(differences: tuple[str, ...]) -> tuple[str, ...]:
    """A scale's differences but for that of its attack, which nothing meets here."""
    return tuple(each for each in differences if each != FEW_ATTACK_STEPS)


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
            differences=(*PAPER_DIFFERENCES, ON_RAW_INPUTS),
        ),
        "medium": medium(Standard(), shared=without_attack(MEDIUM_DIFFERENCES), differences=(ON_RAW_INPUTS,)),
        "small": small(Standard(), shared=without_attack(SMALL_DIFFERENCES), differences=(ON_RAW_INPUTS,)),
        "tiny": tiny(Standard()),
    },
)
