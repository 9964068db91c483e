"""AT-AWP: PGD adversarial training under adversarial weight perturbation."""

from __future__ import annotations

from bench.training.objectives.awp import AdversarialWeights
from bench.training.objectives.pgd_at import PgdAt
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    CRAFTED_IN_EVALUATION_MODE,
    FEW_STEPS,
    ON_RAW_INPUTS,
    PADDED_WITH_ZEROS,
    PAPER_DIFFERENCES,
    TEN_STEPS,
    medium,
    small,
    tiny,
)
from bench.training.schedule import Steps

GAMMA = 0.01
NO_CLEAN_PASS = "no additional clean pass in training mode, which in the authors' code feeds the running statistics"

ENTRY = Recipe(
    name="at-awp",
    title="PGD adversarial training whose weights, too, are perturbed adversarially at every step",
    paper="Wu, Xia, Wang 2020, arXiv 2004.05884",
    scales={
        "paper": Plan(
            architecture="normalized",
            arguments={"backbone": "preact-resnet18", "width": 64},
            objective=AdversarialWeights(base=PgdAt(attack=TEN_STEPS), gamma=GAMMA),
            epochs=200,
            schedule=Steps(base=0.1, milestones=(100, 150), of=200),
            differences=(
                *PAPER_DIFFERENCES,
                CRAFTED_IN_EVALUATION_MODE,
                PADDED_WITH_ZEROS,
                NO_CLEAN_PASS,
            ),
        ),
        "medium": medium(
            AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=GAMMA),
            differences=(ON_RAW_INPUTS, CRAFTED_IN_EVALUATION_MODE, PADDED_WITH_ZEROS, NO_CLEAN_PASS),
        ),
        "small": small(
            AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=GAMMA),
            differences=(ON_RAW_INPUTS, CRAFTED_IN_EVALUATION_MODE, PADDED_WITH_ZEROS, NO_CLEAN_PASS),
        ),
        "tiny": tiny(AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=GAMMA)),
    },
)
