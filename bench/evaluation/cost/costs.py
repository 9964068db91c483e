"""What each stage of a suite costs on one model and device: measured by a probe, or counted in passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.types import Attack
from bench.evaluation.schedule import Stage

__all__ = ["IN_PASSES", "Costs", "StageCost", "share_of_broken"]

_SOON_BROKEN = 0.2
"""Share of a stage's passes that an example takes which the stage breaks, where it leaves then; most break early."""


def share_of_broken(attack: Attack | None) -> float:
    """What an example that breaks costs beside one that holds: our engine drops it, the authors' package does not."""
    return _SOON_BROKEN if attack is not None and attack.engine == "fast" else 1.0


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Time of one stage, linear in the examples of a compute batch.

    Args:
        batch: of each batch, whatever is in it.
        example: of each example that withstands the stage.
        broken: of each example that it breaks, as a share of `example`.
    """

    batch: float
    example: float
    broken: float = 1.0

    def of(self, *, n_batches: float, n_held: float, n_broken: float) -> float:
        """Time of so many batches that hold so many examples in all."""
        return self.batch * n_batches + self.example * (n_held + self.broken * n_broken)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost of every stage, by its key.

    Args:
        stages: for the clean inputs and the stages of attacks; others are counted in passes.
        in_seconds: whether times are seconds; otherwise they are passes, whose length the run itself shows.
        per_pass: time of one pass of one example.
        clean: by official index, whether a probed example is classified correctly.
        robust: the same for whether it withstood a short attack; of correct examples only.
        per_break: time of packing one adversarial example for the row's evidence.
        after: time of what follows the attacks in this process alone: the short doctor.
        seconds: what the probe took.
    """

    stages: Mapping[str, StageCost]
    in_seconds: bool
    per_pass: float = 1.0
    clean: Mapping[int, bool] = field(default_factory=dict)
    robust: Mapping[int, bool] = field(default_factory=dict)
    per_break: float = 0.0
    after: float = 0.0
    seconds: float = 0.0

    def of(self, stage: Stage) -> StageCost:
        """What a stage costs."""
        known = self.stages.get(stage.key)
        if known is not None:
            return known
        passes = stage.attack.n_passes if stage.attack is not None else 1
        return StageCost(batch=0.0, example=self.per_pass * passes, broken=share_of_broken(stage.attack))


IN_PASSES = Costs(stages={}, in_seconds=False)
"""What is known without measuring."""
