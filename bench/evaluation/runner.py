"""One stage on all chunks: what the journal has is taken, the rest is computed, judged and journaled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.executor import Lane
from bench.evaluation.execution.task import Task
from bench.evaluation.journal.chunks import Chunk, chunks_of, each_alone, groups_of
from bench.evaluation.journal.header import inputs_digest
from bench.evaluation.journal.journal import Journal
from bench.evaluation.results import StageResult
from bench.evaluation.stage import Stage
from bench.evaluation.strongest_breaks import StrongestBreaks
from bench.evaluation.verify import check_logits
from bench.ops.losses import margin
from bench.row.adversarials import Breaks
from bench.row.fingerprint import TOLERANCE

__all__ = ["GroupDone", "Runner"]


@dataclass(frozen=True, kw_only=True)
class GroupDone:
    """Told after each group of chunks.

    Args:
        n_done: chunks done so far.
        n_chunks: chunks in all.
        rows: where this group's examples stand in the run.
        robust: for each of them, whether the stage saw it and did not break it.
        lost: positions of those that the stage broke.
        seconds: that it took, in an earlier run if it was reused.
        reused: all of it came from the journal.
    """

    n_done: int
    n_chunks: int
    rows: slice
    robust: tuple[bool, ...]
    lost: tuple[int, ...]
    seconds: float
    reused: bool


class Runner:
    """Runs stages of one evaluation, and keeps the strongest break of each example over all of them.

    Args:
        computer: the model in this process, for what is not journaled.
        lane: computes tasks, here or elsewhere.
        examples: sorted by index, anywhere.
        device: where questions are answered.
        batch_size: most examples at once.
        journal: what is done, or None to keep nothing.
    """

    def __init__(
        self,
        *,
        computer: Computer,
        lane: Lane,
        examples: Examples,
        device: torch.device,
        batch_size: int,
        journal: Journal | None,
    ) -> None:
        self._computer = computer
        self._lane = lane
        self._examples = examples
        self._device = device
        self._journal = journal
        self._batch_size = batch_size
        self._chunks = chunks_of(examples.indices.tolist())
        self._inputs = {chunk: inputs_digest(examples[chunk.rows]) for chunk in self._chunks}
        self._shape = examples.shape
        self._strongest = StrongestBreaks(self._shape)

    @property
    def breaks(self) -> Breaks:
        """The strongest break of each example that a stage broke so far."""
        return self._strongest.breaks

    def run(self, stage: Stage, attacked: Sequence[bool], report: Callable[[GroupDone], None]) -> StageResult:
        """Run `stage` on the examples that `attacked` marks, and return what became of them.

        Args:
            stage: what to do.
            attacked: one item per example.
            report: told after each group of chunks, in the order in which they are done.
        """
        found: dict[Chunk, StageResult] = {}

        def landed(task: Task, new: Sequence[StageResult], *, reused: bool) -> None:
            self._note_breaks(task, new)
            found.update(zip(task.chunks, (replace(each, breaks=None) for each in new), strict=True))
            report(
                GroupDone(
                    n_done=len(found),
                    n_chunks=len(self._chunks),
                    rows=task.rows,
                    robust=tuple(verdict for each in new for verdict in each.robust),
                    lost=tuple(_broken(task.chunks, new)),
                    seconds=sum(each.seconds for each in new),
                    reused=reused,
                )
            )

        def missing() -> Iterator[Task]:
            for task in self._tasks(stage, attacked):
                stored = self._stored(task)
                if stored is None:
                    yield task
                else:
                    self._refuse_other_function(task, stored)
                    landed(task, stored, reused=True)

        for task, new in self._lane.run(missing(), self._examples):
            self._write(task, new)
            landed(task, new, reused=False)
        return StageResult.concat([found[chunk] for chunk in self._chunks])

    def ask(
        self, question: Callable[[nn.Module, Examples], Tensor], about: Sequence[bool], what: str
    ) -> tuple[bool, ...]:
        """Answer a quick yes-or-no question, which is not journaled.

        Args:
            question: of the model and a batch of examples, `(N,)` bool.
            about: which examples, one item each.
            what: how messages call it.

        Returns:
            One item for each of those examples.
        """
        return self._ask(question, self._examples[torch.tensor(about)], what)

    def _ask(
        self, question: Callable[[nn.Module, Examples], Tensor], examples: Examples, what: str
    ) -> tuple[bool, ...]:
        if not len(examples):
            return ()
        module = self._computer.module
        parts = self._computer.batches.run(
            lambda batch: question(module, batch.to(self._device)), examples, whole=False, what=what
        )
        return tuple(answer for part in parts for answer in part.tolist())

    def _tasks(self, stage: Stage, attacked: Sequence[bool]) -> Iterator[Task]:
        shared = groups_of(self._chunks, attacked, self._batch_size)
        margins = self._strongest.margins
        for group in each_alone(self._chunks) if stage.per_chunk else shared:
            indices = (index for chunk in group for index in chunk.indices if index in margins)
            yield Task(
                stage=stage,
                chunks=group,
                masks=tuple(tuple(attacked[chunk.rows]) for chunk in group),
                digests=tuple(self._inputs[chunk] for chunk in group),
                known={index: margins[index] for index in indices},
            )

    def _stored(self, task: Task) -> list[StageResult] | None:
        """The stored results if all are there: a group is computed as a whole, so that a resumed run has its batches.

        One about other examples does not count: an earlier stage was done again and differs.
        """
        if self._journal is None:
            return None
        results = []
        for chunk, mask, digest in zip(task.chunks, task.masks, task.digests, strict=True):
            found = self._journal.read(task.stage.key, chunk, inputs=digest, shape=self._shape)
            if found is None or found.attacked != mask:
                return None
            self._refuse_strangers(task.stage, chunk, found)
            results.append(found)
        return results

    def _write(self, task: Task, results: Sequence[StageResult]) -> None:
        if self._journal is not None:
            for chunk, digest, found in zip(task.chunks, task.digests, results, strict=True):
                self._journal.write(task.stage.key, chunk, found, inputs=digest)

    def _note_breaks(self, task: Task, results: Sequence[StageResult]) -> None:
        for chunk, found in zip(task.chunks, results, strict=True):
            if found.breaks is not None:
                self._strongest.add(chunk.number, found.breaks)

    def _refuse_other_function(self, task: Task, results: Sequence[StageResult]) -> None:
        """What a journal holds of clean inputs and of breaks, the model must say too: one forward pass of each.

        The fingerprint sees neither later images nor what attacks find. One example may differ, where rounding decides
        which way a model takes. Work of another kind of device is not repeated here, nor are image files decoded again.

        Raises:
            BenchError: if the model says otherwise.
        """
        here = self._journal is not None and self._journal.header.device == self._device.type
        if self._journal is None or not here or not self._examples.in_memory:
            return
        differing: list[int] = []
        for chunk, found in zip(task.chunks, results, strict=True):
            judged, margins = self._judged(task, chunk, found)
            known = dict(zip(judged.indices.tolist(), margins, strict=True))
            same = self._ask(functools.partial(_as_known, known=known), judged, task.what)
            differing += [index for index, fits in zip(known, same, strict=True) if not fits]
        if len(differing) > 1:
            shown = ", ".join(map(str, differing[:3])) + (", ..." if len(differing) > 3 else "")
            raise BenchError(
                f"Journal {self._journal.folder} was made for another run: on {len(differing)} stored inputs of"
                f" {task.stage.key} (examples {shown}) the model gives other logits than the one that it was made with."
                " Choose another journal folder, or that model."
            )

    def _judged(self, task: Task, chunk: Chunk, found: StageResult) -> tuple[Examples, Sequence[float]]:
        """The inputs whose margins a chunk's result knows, in the order of their indices, and these margins."""
        examples = self._examples[chunk.rows]
        if task.stage.attack is None:
            return examples, found.margin
        if found.breaks is None:
            return examples[:0], ()
        examples = examples[torch.isin(examples.indices, torch.from_numpy(found.breaks.indices))]
        inputs = torch.from_numpy(found.breaks.inputs(examples.inputs.cpu().numpy()))
        return Examples(inputs=inputs, labels=examples.labels, indices=examples.indices), found.breaks.margins.tolist()

    def _refuse_strangers(self, stage: Stage, chunk: Chunk, found: StageResult) -> None:
        """Refuse breaks of other examples than those that the result calls broken."""
        if found.breaks is None or self._journal is None:
            return
        labels = dict(zip(chunk.indices, self._examples.labels[chunk.rows].tolist(), strict=True))
        broken = {chunk.indices[position - chunk.start] for position in _broken([chunk], [found])}
        held = dict(zip(found.breaks.indices.tolist(), found.breaks.labels.tolist(), strict=True))
        if not broken.issuperset(held) or any(labels[index] != label for index, label in held.items()):
            raise self._journal.refusal(stage.key, chunk, "Expected breaks of the broken examples alone.")
        if found.breaks.shape != self._shape:
            raise self._journal.refusal(stage.key, chunk, f"Expected breaks of shape {self._shape}.")


def _broken(group: Sequence[Chunk], results: Sequence[StageResult]) -> Iterator[int]:
    for chunk, found in zip(group, results, strict=True):
        for position, (attacked, robust) in enumerate(zip(found.attacked, found.robust, strict=True), chunk.start):
            if attacked and not robust:
                yield position


def _as_known(module: nn.Module, batch: Examples, *, known: Mapping[int, float]) -> Tensor:
    """Whether the margins of a batch are those known by index, but for rounding: bool `(N,)`."""
    with torch.no_grad():
        logits = module(batch.inputs)
    check_logits(logits, len(batch))
    logits = logits.float()
    margins = torch.where(logits.isfinite().all(1), margin(logits, batch.labels), -torch.inf)
    before = torch.tensor([known[index] for index in batch.indices.tolist()]).to(margins)
    # A margin is the difference of two logits.
    near: Tensor = (margins - before).abs() <= 2 * TOLERANCE * logits.abs().amax(1)
    return near.logical_or(margins == before)
