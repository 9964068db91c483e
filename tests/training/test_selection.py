from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.core.types import Examples, ThreatModel
from bench.training.crafting import TrainingAttack
from bench.training.loop import train
from bench.training.objectives.objective import Batch, Context, Objective
from bench.training.objectives.pgd_at import PgdAt
from bench.training.recipe import Plan
from bench.training.run import Run
from bench.training.schedule import Steps

RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Spoiled(PgdAt):
    """Learns in the first epoch and unlearns afterwards; `eligible_from` says which epochs count."""

    eligible_from: int = 0

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        return super().loss(model, batch, context) * (1 if context.epoch < 1 else -1)

    def eligible(self, epoch: int, epochs: int) -> bool:
        return epoch >= self.eligible_from


@pytest.fixture
def examples() -> Examples:
    """Dark and bright images."""
    labels = torch.arange(1000) % 2
    inputs = 0.2 + 0.6 * labels[:, None, None, None].float().expand(-1, 1, 4, 4).contiguous()
    return Examples(inputs=inputs, labels=labels, indices=torch.arange(1000))


def run(objective: Objective, examples: Examples, folder: Path, **changes) -> Run:
    torch.manual_seed(0)
    plan = Plan(
        architecture="",
        arguments={},
        objective=objective,
        epochs=3,
        schedule=Steps(base=RATE, milestones=(), of=3),
        batch_size=30,
        **changes,
    )
    return train(
        Run(model=nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), identity={}),
        plan,
        examples,
        ThreatModel.parse("Linf:1/20"),
        seed=0,
        device=torch.device("cpu"),
        snapshot_path=folder / "snapshot.pt",
    )


ATTACK = TrainingAttack(steps=1, relative_step_size=Fraction(1))


def test_only_eligible_epochs_are_kept_as_the_best(examples, tmp_path):
    """An epoch before an objective's final form is not the best one, however robust it is."""
    (tmp_path / "late").mkdir()
    free = run(Spoiled(attack=ATTACK), examples, tmp_path)
    late = run(Spoiled(attack=ATTACK, eligible_from=1), examples, tmp_path / "late")
    assert free.history[0].robust > max(result.robust for result in free.history[1:])
    assert free.best_epoch == 0
    assert late.best_epoch > 0


def test_gradient_is_no_longer_than_allowed(examples, tmp_path):
    """With a limit on the gradient's norm, a step of plain descent is no longer than rate times limit."""
    torch.manual_seed(0)
    start = nn.Linear(16, 2)
    steps = 3 * (900 // 30)
    objective = PgdAt(attack=ATTACK)
    ends = run(objective, examples, tmp_path, gradient_norm=1e-4, momentum=0.0, weight_decay=0.0).model[1]
    moved = torch.cat([(end - was).flatten() for end, was in zip(ends.parameters(), start.parameters(), strict=True)])
    assert 0 < moved.norm() <= 1.01 * RATE * 1e-4 * steps
