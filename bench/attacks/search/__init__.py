"""What searches share: the ball, the best iterate so far, targets, gradients, and how runs share compute batches."""

from bench.attacks.search.ball import Ball, length, random_start
from bench.attacks.search.batching import Part, batches, joined, pick
from bench.attacks.search.best_so_far import Best, BestSoFar, Verdict, judge
from bench.attacks.search.gradients import Evaluated, differentiate, predict
from bench.attacks.search.mixed_precision import ModelForms, Searched, search_and_settle
from bench.attacks.search.projected_gradient import ApgdSearch, Logits, Loss, Runs, View, ascend, untargeted
from bench.attacks.search.redrawn import Redrawn
from bench.attacks.search.step_rules import RHO, FixedStep, MomentumStep
from bench.attacks.search.targets import DLR_CLASSES, gap, rank, targeted_loss

__all__ = [
    "DLR_CLASSES",
    "RHO",
    "ApgdSearch",
    "Ball",
    "Best",
    "BestSoFar",
    "Evaluated",
    "FixedStep",
    "Logits",
    "Loss",
    "ModelForms",
    "MomentumStep",
    "Part",
    "Redrawn",
    "Runs",
    "Searched",
    "Verdict",
    "View",
    "ascend",
    "batches",
    "differentiate",
    "gap",
    "joined",
    "judge",
    "length",
    "pick",
    "predict",
    "random_start",
    "rank",
    "search_and_settle",
    "targeted_loss",
    "untargeted",
]
