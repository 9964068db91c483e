"""One task computed in this process: perturb, verify, judge, and share the outcome out over its chunks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench.core.types import Examples, ThreatModel
from bench.evaluation.counting import Passes
from bench.evaluation.execution.batches import Batches
from bench.evaluation.execution.task import Task
from bench.evaluation.forms import Forms, Searched
from bench.evaluation.journal.journal import Entry
from bench.evaluation.keeping import news, pack
from bench.evaluation.stage import Stage
from bench.evaluation.verify import Judgement, judge
from bench.row.adversarials import Breaks, merge

__all__ = ["Computer"]


class Computer:
    """Computes tasks of one evaluation; the same task gives the same entries in every process.

    Args:
        module: the model, borrowed: frozen, in eval mode, on its device.
        forms: what attacks search on in its place.
        threat_model: what the attacker may do.
        seed: of the run.
        device: where to compute.
        batch_size: most examples at once.
    """

    def __init__(
        self,
        *,
        module: nn.Module,
        forms: Forms,
        threat_model: ThreatModel,
        seed: int,
        device: torch.device,
        batch_size: int,
    ) -> None:
        self.module = module
        self.batches = Batches(batch_size)
        self._forms = forms
        self._threat_model = threat_model
        self._seed = seed
        self._device = device

    def compute(self, task: Task, attacked: Examples) -> tuple[Entry, ...]:
        """Return an entry for each chunk of the task.

        Args:
            task: what to do.
            attacked: the examples that its stage sees, anywhere.

        Raises:
            WorkFailedError: if it fails twice, or memory does not suffice for one example.
        """
        start = time.perf_counter()
        shape = attacked.shape
        parts: list[_Part] = []
        if len(attacked):
            parts = self.batches.run(
                lambda batch: self._work(task.stage, batch, task.known, shape),
                attacked.to(self._device),
                whole=task.stage.per_chunk,
                what=task.what,
            )
        seconds = time.perf_counter() - start
        return _share_out(task, parts, seconds=seconds, batch_size=self.batches.batch_size)

    def _work(self, stage: Stage, batch: Examples, known: Mapping[int, float], shape: tuple[int, ...]) -> _Part:
        self._forms.reset()
        searched = Searched(batch.inputs)
        if stage.attack is not None:
            searched = self._forms.search(stage.attack, batch, self._threat_model, seed=self._seed)
        judgement = judge(self.module, searched.points, batch, self._threat_model)
        breaks = Breaks.none(shape)
        if stage.attack is not None:
            breaks = news(self.module, batch, judgement, self._threat_model, known=known)
        return _Part.of(judgement, self._forms.passes, breaks, searched)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one compute batch gave: its verdicts, the passes that the attack took, and the breaks worth keeping."""

    robust: list[bool]
    margin: list[float]
    finite: list[bool]
    moved: list[bool]
    claimed: list[bool]
    refused: list[bool]
    passes: Passes
    breaks: Breaks

    @classmethod
    def of(cls, judgement: Judgement, passes: Passes, breaks: Breaks, searched: Searched) -> _Part:
        none = [False] * len(judgement.robust)
        return cls(
            robust=judgement.robust.tolist(),
            margin=judgement.margin.tolist(),
            finite=judgement.finite.tolist(),
            moved=judgement.moved.tolist(),
            claimed=none if searched.claimed is None else searched.claimed.tolist(),
            refused=none if searched.refused is None else searched.refused.tolist(),
            passes=passes,
            breaks=breaks,
        )


def _share_out(task: Task, parts: Sequence[_Part], *, seconds: float, batch_size: int) -> tuple[Entry, ...]:
    """Give every chunk its examples' verdicts, and its share of time and passes by the examples that it had."""
    robust = iter([verdict for part in parts for verdict in part.robust])
    margin = iter([value for part in parts for value in part.margin])
    finite = iter([verdict for part in parts for verdict in part.finite])
    moved = iter([verdict for part in parts for verdict in part.moved])
    breaks = merge(*(part.breaks for part in parts)) if parts else None
    claimed = iter([verdict for part in parts for verdict in part.claimed])
    refused = iter([verdict for part in parts for verdict in part.refused])
    total, before = max(1, task.n_attacked), 0
    passes = Passes(sum(part.passes.forwards for part in parts), sum(part.passes.backwards for part in parts))
    entries = []
    for chunk, mask, inputs in zip(task.chunks, task.masks, task.digests, strict=True):
        after = before + sum(mask)
        entries.append(
            Entry(
                inputs=inputs,
                attacked=mask,
                robust=tuple(next(robust) if attacked else False for attacked in mask),
                margin=tuple(next(margin) if attacked else float("inf") for attacked in mask),
                finite=tuple(next(finite) if attacked else True for attacked in mask),
                moved=sum(next(moved) for attacked in mask if attacked),
                seconds=seconds * (after - before) / total,
                forwards=passes.forwards * after // total - passes.forwards * before // total,
                backwards=passes.backwards * after // total - passes.backwards * before // total,
                batch_size=batch_size,
                breaks=pack(breaks.pick(np.isin(breaks.indices, chunk.indices))) if breaks is not None else "",
                n_claimed=sum(next(claimed) for attacked in mask if attacked),
                n_refused=sum(next(refused) for attacked in mask if attacked),
            )
        )
        before = after
    return tuple(entries)
