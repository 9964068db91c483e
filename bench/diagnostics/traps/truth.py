"""What a trap is worth: how many examples withstand an attacker who knows how it is built."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.attacks.autoattack import ApgdT
from bench.core.types import Examples, ThreatModel
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.search import Search
from bench.diagnostics.traps.trap import Trap
from bench.ops import losses

__all__ = ["withstand"]


def _by_margin(module: nn.Module, examples: Examples, threat_model: ThreatModel, seed: int) -> Tensor:
    search = Search(name="truth", objective=losses.negative_margin, steps=50, step=1 / 10)
    return search.run(module, examples, threat_model, seed=seed).points


def _by_targets(module: nn.Module, examples: Examples, threat_model: ThreatModel, seed: int) -> Tensor:
    return ApgdT(steps=50, targets=3, engine="fast").perturb(module, examples, threat_model, seed=seed)


ATTACKS = (_by_margin, _by_targets)
FEW = 32
"""Examples at once: few enough that none of the zoo's models takes them for a crowd."""


class _Few(nn.Module):
    """A model that is asked for few at a time, and given copies.

    Args:
        module: the model.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return torch.cat([self.module(part.clone()) for part in torch.split(inputs, FEW)])


def withstand(
    trap: Trap, module: nn.Module, base: nn.Module, examples: Examples, threat_model: ThreatModel, *, seed: int = 0
) -> Tensor:
    """Which examples are correct and withstand the attacker who knows, bool `(N,)`.

    He climbs what `trap.attacked` says and the model itself, both a few examples at a time; what he finds is judged by
    the model, or, where it remembers the examples, by what it is on others.

    Args:
        trap: how the model was made.
        module: what `trap.build` made, in eval mode.
        base: the network that it was made from, in eval mode.
        examples: those it is scored on.
        threat_model: what the attacker may do.
        seed: of his draws.
    """
    attacked = _Few(trap.attacked(module, base)).eval()
    scored = attacked if trap.remembers else _Few(module).eval()
    left = ~is_wrong(predict(scored, examples.inputs), examples.labels)
    for climbed in {id(each): each for each in (attacked, scored)}.values():
        for attack in ATTACKS:
            rows = left.nonzero().squeeze(1)
            if len(rows):
                points = attack(climbed, examples[rows], threat_model, seed)
                left[rows[is_wrong(predict(scored, points), examples.labels[rows])]] = False
    return left
