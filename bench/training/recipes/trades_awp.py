"""TRADES-AWP: TRADES under adversarial weight perturbation."""

from __future__ import annotations

from bench.training.objectives.awp import AdversarialWeights
from bench.training.objectives.trades import Trades
from bench.training.recipe import Plan, Recipe
from bench.training.scales import FEW_STEPS_NEAR, PAPER_DIFFERENCES, TEN_STEPS_NEAR, small, tiny
from bench.training.schedule import Steps

GAMMA = 0.005
WARMUP = 9 / 200  # the authors start with the tenth of 200 epochs

ENTRY = Recipe(
    name="trades-awp",
    title="TRADES whose weights, too, are perturbed adversarially at every step",
    paper="Wu, Xia, Wang 2020, arXiv 2004.05884",
    scales={
        "paper": Plan(
            architecture="wrn",
            arguments={"depth": 34, "width": 10},
            objective=AdversarialWeights(base=Trades(attack=TEN_STEPS_NEAR), gamma=GAMMA, warmup=WARMUP),
            epochs=200,
            schedule=Steps(base=0.1, milestones=(100, 150), of=200),
            differences=PAPER_DIFFERENCES,
        ),
        "small": small(
            AdversarialWeights(base=Trades(attack=FEW_STEPS_NEAR), gamma=GAMMA, warmup=WARMUP),
            differences=("ResNet-18 instead of WRN-34-10",),
        ),
        "tiny": tiny(AdversarialWeights(base=Trades(attack=FEW_STEPS_NEAR), gamma=GAMMA, warmup=WARMUP)),
    },
)
