"""The unit of work: one stage on the chunks that share a compute batch.

Which chunks those are follows from the grid and from earlier verdicts alone, never from who computes them. So any
number of workers does the same sums as one process, and finds the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from bench.core.types import Examples
from bench.evaluation.journal.chunks import Chunk
from bench.evaluation.schedule import Stage

__all__ = ["Task"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One stage on one group of chunks.

    Args:
        stage: what to do.
        chunks: consecutive ones of the run, at least one.
        masks: for each chunk, which of its examples the stage sees.
        digests: for each chunk, the digest of its inputs.
        known: by official index, the margin of the strongest break that earlier stages found here.
    """

    stage: Stage
    chunks: tuple[Chunk, ...]
    masks: tuple[tuple[bool, ...], ...]
    digests: tuple[str, ...]
    known: Mapping[int, float]

    @property
    def rows(self) -> slice:
        """Where its examples stand in the run."""
        return slice(self.chunks[0].start, self.chunks[-1].rows.stop)

    @property
    def n_attacked(self) -> int:
        """How many examples the stage sees."""
        return sum(map(sum, self.masks))

    @property
    def what(self) -> str:
        """How messages call it: "pgd-20 on chunk 3 to 5"."""
        first, last = self.chunks[0].number, self.chunks[-1].number
        return f"{self.stage.key} on chunk {first}" + (f" to {last}" if len(self.chunks) > 1 else "")

    def attacked(self, examples: Examples) -> Examples:
        """Of all examples of the run, those that the stage sees here."""
        mask = torch.tensor([seen for part in self.masks for seen in part])
        return examples[self.rows][mask]
