"""TRADES."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.trades import Trades
from bench.training.recipe import Plan, Recipe
from bench.training.scales import EPSILON_8, FEW_STEPS, PAPER_DIFFERENCES, medium, small, tiny
from bench.training.schedule import Steps

FEW_STEPS_ON_KL = replace(FEW_STEPS, start="gaussian")

NO_WIDE_RESNET = "ResNet-18 instead of WRN-34-10"
SHORTENED = (NO_WIDE_RESNET, "weight decay 5e-4 instead of 2e-4")

ENTRY = Recipe(
    name="trades",
    title="TRADES: clean cross-entropy plus divergence of adversarial predictions",
    paper="Zhang et al. 2019, arXiv 1901.08573",
    scales={
        "paper": Plan(
            architecture="resnet18",
            arguments={"width": 64},
            objective=Trades(attack=TrainingAttack(steps=10, relative_step_size=Fraction(1, 4), start="gaussian")),
            epochs=110,
            schedule=Steps(base=0.1, milestones=(100, 105), of=110),
            differences=(
                *PAPER_DIFFERENCES,
                NO_WIDE_RESNET,
                EPSILON_8,
                "the 110 epochs and weight decay 5e-4 of Bag of Tricks (Pang et al. 2021)",
            ),
        ),
        "medium": medium(Trades(attack=FEW_STEPS_ON_KL), differences=SHORTENED),
        "small": small(Trades(attack=FEW_STEPS_ON_KL), differences=SHORTENED),
        "tiny": tiny(Trades(attack=FEW_STEPS_ON_KL)),
    },
)
