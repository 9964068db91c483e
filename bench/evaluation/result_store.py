"""What is done of one run, by stage and chunk: in memory, and in its journal where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.core.errors import BenchError
from bench.evaluation.execution.task import Task
from bench.evaluation.journal.chunks import Chunk, chunks_of, each_alone, groups_of
from bench.evaluation.journal.header import inputs_digest
from bench.evaluation.journal.journal import Journal
from bench.evaluation.plan import RunPlan
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import GRADIENTS, Stage
from bench.evaluation.strongest_breaks import StrongestBreaks
from bench.row.arrays import Breaks

__all__ = ["ResultStore"]


class ResultStore:
    """The finished results of a run, and the strongest break of each example over all of them.

    Attributes:
        chunks: of the run.

    Args:
        plan: the run.
        journal: opened for it; None to keep results in memory alone.
    """

    def __init__(self, plan: RunPlan, journal: Journal | None) -> None:
        self.chunks = chunks_of(plan.examples.indices.tolist())
        self._examples = plan.examples
        self._batch_size = plan.header.batch_size
        self._journal = journal
        self._digests = {chunk: inputs_digest(plan.examples[chunk.rows]) for chunk in self.chunks}
        self._shape = plan.examples.shape
        self._results: dict[tuple[str, Chunk], StageResult] = {}
        self._strongest = StrongestBreaks(self._shape)

    @property
    def journal(self) -> Journal | None:
        """That keeps them."""
        return self._journal

    @property
    def breaks(self) -> Breaks:
        """The strongest break of each example that a stage broke so far."""
        return self._strongest.breaks

    def tasks(self, stage: Stage, attacked: Sequence[bool]) -> Iterator[Task]:
        """The tasks of a stage on the examples that `attacked` marks, one item per example of the run."""
        shared = groups_of(self.chunks, attacked, self._batch_size)
        margins = self._strongest.margins
        for group in each_alone(self.chunks) if stage.per_chunk else shared:
            indices = (index for chunk in group for index in chunk.indices if index in margins)
            yield Task(
                stage=stage,
                chunks=group,
                masks=tuple(tuple(attacked[chunk.rows]) for chunk in group),
                digests=tuple(self._digests[chunk] for chunk in group),
                known={index: margins[index] for index in indices},
            )

    def read(self, task: Task) -> list[StageResult] | None:
        """What the journal has, if all is there: a task is done as a whole, so that a resumed run has its batches.

        A result about other examples does not count: an earlier stage was done again and differs.

        Raises:
            BenchError: if what is stored cannot be what the stage did.
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

    def write(self, task: Task, results: Sequence[StageResult]) -> None:
        """Store the results of a task, one for each of its chunks; raises as `Journal.write` does."""
        if self._journal is not None:
            for chunk, digest, found in zip(task.chunks, task.digests, results, strict=True):
                self._journal.write(task.stage.key, chunk, found, inputs=digest)

    def remember(self, task: Task, results: Sequence[StageResult]) -> None:
        """Keep in memory what was written or read; of the breaks the strongest."""
        for chunk, found in zip(task.chunks, results, strict=True):
            if found.breaks is not None:
                self._strongest.add(chunk.number, found.breaks)
            self._results[task.stage.key, chunk] = replace(found, breaks=None)

    def of(self, stage: Stage, attacked: Sequence[bool]) -> StageResult:
        """What a stage did to the whole run, see `Results`.

        Raises:
            BenchError: if a part of it is not done.
        """
        for task in self.tasks(stage, attacked):
            if not all(self._has(stage, chunk, mask) for chunk, mask in zip(task.chunks, task.masks, strict=True)):
                stored = self.read(task)
                if stored is None:
                    first, last = task.chunks[0].indices[0], task.chunks[-1].indices[-1]
                    what = f"{task.what} is missing (examples {first}:{last + 1})"
                    raise self._for_all(what) if stage.suffix else _not_done(what)
                self.remember(task, stored)
        return StageResult.concat([self._results[stage.key, chunk] for chunk in self.chunks])

    def with_gradient(self, correct: Sequence[bool]) -> Sequence[bool]:
        """Which examples have a gradient, see `Results`.

        Raises:
            BenchError: if a part of it is not done.
        """
        return self.of(GRADIENTS, correct).robust

    def _for_all(self, what: str) -> BenchError:
        """What all examples together call for, and a part of them did not."""
        where = f" --journal {self._journal.folder}" if self._journal is not None else ""
        return BenchError(
            f"Not everything is done yet: {what}. All examples together call for it, which no shard could see:"
            f" the same as `bench run{where}` does the rest."
        )

    def _has(self, stage: Stage, chunk: Chunk, mask: tuple[bool, ...]) -> bool:
        found = self._results.get((stage.key, chunk))
        return found is not None and found.attacked == mask

    def _refuse_strangers(self, stage: Stage, chunk: Chunk, found: StageResult) -> None:
        """Refuse breaks of other examples than those that the result calls broken."""
        if found.breaks is None or self._journal is None:
            return
        labels = dict(zip(chunk.indices, self._examples.labels[chunk.rows].tolist(), strict=True))
        broken = {index for index, lost in zip(chunk.indices, found.broken, strict=True) if lost}
        held = dict(zip(found.breaks.indices.tolist(), found.breaks.labels.tolist(), strict=True))
        if not broken.issuperset(held) or any(labels[index] != label for index, label in held.items()):
            raise self._journal.refusal(stage.key, chunk, "Expected breaks of the broken examples alone.")
        if found.breaks.shape != self._shape:
            raise self._journal.refusal(stage.key, chunk, f"Expected breaks of shape {self._shape}.")


def _not_done(what: str) -> BenchError:
    return BenchError(f"Not everything is done yet: {what}. Start what computes it again; it goes on where it stopped.")
