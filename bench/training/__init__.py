"""How the models of the zoo are trained: recipes, objectives, one loop."""

from bench.training.log import EventLog, write_csv
from bench.training.loop import train
from bench.training.recipe import Plan, Recipe, model_name
from bench.training.run import EpochResult, Progress, Run
from bench.training.validation import MEASURED, SplitData, Validated, held_out_size, validated

__all__ = [
    "MEASURED",
    "EpochResult",
    "EventLog",
    "Plan",
    "Progress",
    "Recipe",
    "Run",
    "SplitData",
    "Validated",
    "held_out_size",
    "model_name",
    "train",
    "validated",
    "write_csv",
]
