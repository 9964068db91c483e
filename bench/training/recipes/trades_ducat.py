"""TRADES + DUCAT."""

from __future__ import annotations

from bench.training.objectives.ducat import DummyClasses
from bench.training.objectives.trades import Trades
from bench.training.recipe import Plan, Recipe
from bench.training.recipes.ducat import BASIC_BLOCKS, LAST_EPOCH, second_stage
from bench.training.scales import (
    BFLOAT16,
    FEW_STEPS_NEAR,
    TEN_STEPS_NEAR,
    TINY_WIDTH,
    tiny,
)
from bench.training.schedule import Steps

ONE_PASS = "before the dummy targets plain TRADES, and one forward pass for cross-entropy and divergence"

ENTRY = Recipe(
    name="trades-ducat",
    title="TRADES, then a dummy class per class that adversarial examples may fall into",
    paper="Wang et al. 2024, arXiv 2410.12671",
    scales={
        "paper": Plan(
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": 64},
            objective=DummyClasses(base=Trades(attack=TEN_STEPS_NEAR)),
            epochs=130,
            schedule=Steps(base=0.1, milestones=(100, 105), of=130),
            differences=(BFLOAT16, LAST_EPOCH, BASIC_BLOCKS, ONE_PASS),
        ),
        "small": second_stage(
            DummyClasses(base=Trades(attack=FEW_STEPS_NEAR), start=0.0),
            starts_from="trades",
            epochs=5,
            differences=(ONE_PASS,),
        ),
        "tiny": tiny(
            DummyClasses(base=Trades(attack=FEW_STEPS_NEAR)),
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": TINY_WIDTH},
        ),
    },
)
