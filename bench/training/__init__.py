"""How the models of the zoo are trained: recipes, objectives, one loop."""

from bench.training.averaging import Averaged
from bench.training.log import EventLog, write_csv
from bench.training.loop import train
from bench.training.recipe import Plan, Recipe, model_name
from bench.training.run import EpochResult, Run, TrainingProgress
from bench.training.snapshot import code_digest, unfinished
from bench.training.step import augmented, optimizer_of, step
from bench.training.validation import MEASURED, SplitData, Validated, divided, held_out_size, validated

__all__ = [
    "MEASURED",
    "Averaged",
    "EpochResult",
    "EventLog",
    "Plan",
    "Recipe",
    "Run",
    "SplitData",
    "TrainingProgress",
    "Validated",
    "augmented",
    "code_digest",
    "divided",
    "held_out_size",
    "model_name",
    "optimizer_of",
    "step",
    "train",
    "unfinished",
    "validated",
    "write_csv",
]
