"""PGD adversarial training."""

from __future__ import annotations

from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.pgd_at import PgdAt
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    CRAFTED_IN_EVALUATION_MODE,
    FEW_STEPS,
    ON_RAW_INPUTS,
    PADDED_WITH_ZEROS,
    PAPER_DIFFERENCES,
    medium,
    small,
    tiny,
)
from bench.training.schedule import Steps

OF_EVERY_SCALE = (ON_RAW_INPUTS, CRAFTED_IN_EVALUATION_MODE, PADDED_WITH_ZEROS)

ENTRY = Recipe(
    name="pgd-at",
    title="PGD adversarial training",
    paper="Madry et al. 2018, arXiv 1706.06083; schedule of Rice et al. 2020, arXiv 2002.11569",
    scales={
        "paper": Plan(
            architecture="resnet18",
            arguments={"width": 64},
            objective=PgdAt(attack=TrainingAttack(steps=10, relative_step_size=Fraction(1, 4))),
            epochs=200,
            schedule=Steps(base=0.1, milestones=(100, 150), of=200),
            differences=(*PAPER_DIFFERENCES, *OF_EVERY_SCALE),
        ),
        "medium": medium(PgdAt(attack=FEW_STEPS), differences=OF_EVERY_SCALE),
        "small": small(PgdAt(attack=FEW_STEPS), differences=OF_EVERY_SCALE),
        "tiny": tiny(PgdAt(attack=FEW_STEPS)),
    },
)
