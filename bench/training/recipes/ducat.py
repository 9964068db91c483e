"""PGD-AT + DUCAT."""

from __future__ import annotations

from bench.training.objectives.ducat import DummyClasses
from bench.training.objectives.pgd_at import PgdAt
from bench.training.recipe import Plan, Recipe
from bench.training.scales import FEW_STEPS, PAPER_DIFFERENCES, SMALL_WIDTH, TEN_STEPS, TINY_WIDTH, small, tiny
from bench.training.schedule import Steps

SELECTED_AFTER_START = "the best epoch is one with dummy targets, by PGD against the recovered logits instead of all 2C"
BASIC_BLOCKS = "ResNet-18 of basic blocks; the authors' has bottleneck blocks and 13.98 million parameters"

ENTRY = Recipe(
    name="ducat",
    title="PGD-AT, then a dummy class per class that adversarial examples may fall into",
    paper="Wang et al. 2024, arXiv 2410.12671",
    scales={
        "paper": Plan(
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": 64},
            objective=DummyClasses(base=PgdAt(attack=TEN_STEPS)),
            epochs=130,
            schedule=Steps(base=0.1, milestones=(100, 105)),
            differences=(*PAPER_DIFFERENCES, SELECTED_AFTER_START, BASIC_BLOCKS),
        ),
        "small": small(
            DummyClasses(base=PgdAt(attack=FEW_STEPS)),
            epochs=20,
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": SMALL_WIDTH},
            differences=(
                SELECTED_AFTER_START,
                BASIC_BLOCKS,
                "dummy targets from a learning rate of 0.057 on, falling to 0, instead of 0.01 and 0.001",
            ),
        ),
        "tiny": tiny(
            DummyClasses(base=PgdAt(attack=FEW_STEPS)),
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": TINY_WIDTH},
        ),
    },
)
