"""What a file of the zoo says about its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.core.structure import Structure

__all__ = ["Decision", "ModelSpec"]

Decision = Literal["argmax", "pair-max"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A trained model of the zoo; its checkpoints are found by its name.

    Args:
        name: how commands and rows call it.
        title: its name as people write it.
        summary: one sentence on what it is.
        paper: the source of the method.
        recipe: the training recipe that makes it.
        scale: of the recipe, or None for what fits the dataset.
        decision: "argmax" over the logits; "pair-max" where each logit is the larger of a class and its dummy.
        structure: what the module declares for adaptive attacks (see `bench.core.structure`), or None.
    """

    name: str
    title: str
    summary: str
    paper: str
    recipe: str
    scale: str | None = None
    decision: Decision = "argmax"
    structure: Structure | None = None

    def command(self, dataset: str) -> str:
        """What trains it."""
        scale = "" if self.scale is None else f" --scale {self.scale}"
        return f"bench train --recipe {self.recipe} --dataset {dataset}{scale}"
