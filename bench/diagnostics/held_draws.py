"""A stochastic model with its draws held fixed: one of the functions that it is, which any check can look at.

Whoever adds noise to a model that misleads attacks would else have it called stochastic and be asked nothing. Each
example is asked alone and meets the same draws, so that neither batch nor order changes an answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.ops.generators import generators_kept, seed_generators

__all__ = ["HeldDraws"]


class HeldDraws(nn.Module):
    """The model under one seed, whatever is asked and how often.

    Args:
        module: the model; what it declares of its structure is left out.
        seed: of the draws.
    """

    def __init__(self, module: nn.Module, seed: int) -> None:
        super().__init__()
        self.module = module
        self.training = False
        self._seed = seed

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        answers = []
        with generators_kept():
            for each in torch.split(inputs, 1):
                seed_generators(self._seed, "held draws")
                answers.append(self.module(each))
        return torch.cat(answers)
