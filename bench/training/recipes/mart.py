"""MART."""

from __future__ import annotations

from bench.training.objectives.mart import Mart
from bench.training.recipe import Plan, Recipe
from bench.training.scales import EPSILON_8, FEW_STEPS_NEAR, PAPER_DIFFERENCES, TEN_STEPS_NEAR, small, tiny
from bench.training.schedule import Steps

ENTRY = Recipe(
    name="mart",
    title="MART: adversarial training with more weight on examples that the model gets wrong",
    paper="Wang et al. 2020, ICLR (openreview rklOg6EFwS)",
    scales={
        "paper": Plan(
            architecture="resnet18",
            arguments={"width": 64},
            objective=Mart(attack=TEN_STEPS_NEAR),
            epochs=120,
            schedule=Steps(base=0.01, milestones=(75, 90, 100), of=120),
            weight_decay=3.5e-3,
            differences=(*PAPER_DIFFERENCES, EPSILON_8),
        ),
        "small": small(Mart(attack=FEW_STEPS_NEAR), differences=("weight decay 5e-4 instead of 3.5e-3",)),
        "tiny": tiny(Mart(attack=FEW_STEPS_NEAR)),
    },
)
