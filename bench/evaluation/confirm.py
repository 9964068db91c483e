"""Judges given inputs again, without searching: forward passes of the original float32 model, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.core.types import Examples, ThreatModel
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.model_guard import guarded
from bench.evaluation.strongest_breaks import StrongestBreaks, new_breaks
from bench.evaluation.verify import Judgement, judge
from bench.row.arrays import Breaks

__all__ = ["Advance", "Judge"]

Advance = Callable[[int], None]


class Judge:
    """A model that is asked for verdicts; it is handed back as it was after every call.

    Args:
        module: the original model.
        threat_model: what the attacker may do.
        device: where to compute.
        seed: of a stochastic model's draws.
        advance: called after each batch with its number of examples.
    """

    def __init__(
        self,
        module: nn.Module,
        threat_model: ThreatModel,
        *,
        device: torch.device,
        seed: int = 0,
        advance: Advance = lambda count: None,
    ) -> None:
        self._module = module
        self._threat_model = threat_model
        self._device = device
        self._seed = seed
        self._advance = advance

    def judge(self, points: Tensor, examples: Examples) -> Judgement:
        """Judge one point per example, on the CPU.

        Args:
            points: `(N, C, H, W)`, at least one; those outside the threat model are pulled back, which `moved` says.
            examples: the clean examples, `N` of them.
        """
        with guarded(self._module, self._device):
            parts = [
                {name: value.cpu() for name, value in vars(judgement).items()}
                for _, judgement in self._batches(points, examples)
            ]
        return Judgement(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def confirm(self, points: Tensor, examples: Examples) -> Breaks:
        """The points that break their example by more than rounding, ready to be stored.

        Args:
            points: `(N, C, H, W)`; one outside the threat model counts as what it is pulled back to.
            examples: the clean examples, `N` of them, their indices ascending.
        """
        strongest = StrongestBreaks(examples.shape)
        with guarded(self._module, self._device):
            for number, (batch, judgement) in enumerate(self._batches(points, examples)):
                clear = replace(judgement, robust=judgement.robust | judgement.marginal)
                found = new_breaks(
                    self._module, batch, clear, self._threat_model, known=strongest.margins, seed=self._seed
                )
                strongest.add(number, found)
        return strongest.breaks

    def _batches(self, points: Tensor, examples: Examples) -> Iterator[tuple[Examples, Judgement]]:
        for start in range(0, len(examples), CHUNK_SIZE):
            rows = slice(start, start + CHUNK_SIZE)
            batch = examples[rows].to(self._device)
            moved = points[rows].to(self._device)
            yield batch, judge(self._module, moved, batch, self._threat_model, seed=self._seed)
            self._advance(len(batch))
