"""One stage on all chunks: what the journal has is taken, the rest is computed, judged and journaled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.executor import Lane
from bench.evaluation.execution.task import Task
from bench.evaluation.journal.chunks import Chunk, chunks_of, each_alone, groups_of
from bench.evaluation.journal.header import inputs_digest
from bench.evaluation.journal.journal import Entry, Journal
from bench.evaluation.keeping import Keeper, unpack
from bench.evaluation.stage import Stage, Verdicts, joined
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
        self._keeper = Keeper(self._shape)

    @property
    def breaks(self) -> Breaks:
        """The strongest break of each example that a stage broke so far."""
        return self._keeper.breaks

    def run(self, stage: Stage, attacked: Sequence[bool], report: Callable[[GroupDone], None]) -> Verdicts:
        """Run `stage` on the examples that `attacked` marks, and return what became of them.

        Args:
            stage: what to do.
            attacked: one item per example.
            report: told after each group of chunks, in the order in which they are done.
        """
        entries: dict[Chunk, Entry] = {}

        def landed(task: Task, new: Sequence[Entry], *, reused: bool) -> None:
            self._keep(task, new)
            entries.update(zip(task.chunks, new, strict=True))
            report(
                GroupDone(
                    n_done=len(entries),
                    n_chunks=len(self._chunks),
                    rows=task.rows,
                    robust=tuple(verdict for entry in new for verdict in entry.robust),
                    lost=tuple(_broken(task.chunks, new)),
                    seconds=sum(entry.seconds for entry in new),
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
        return joined([entries[chunk] for chunk in self._chunks])

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
        margins = self._keeper.margins
        for group in each_alone(self._chunks) if stage.per_chunk else shared:
            indices = (index for chunk in group for index in chunk.indices if index in margins)
            yield Task(
                stage=stage,
                chunks=group,
                masks=tuple(tuple(attacked[chunk.rows]) for chunk in group),
                digests=tuple(self._inputs[chunk] for chunk in group),
                known={index: margins[index] for index in indices},
            )

    def _stored(self, task: Task) -> list[Entry] | None:
        """The stored entries if all are there: a group is computed as a whole, so that a resumed run has its batches.

        An entry about other examples does not count: an earlier stage was done again and differs.
        """
        if self._journal is None:
            return None
        entries = []
        for chunk, mask, digest in zip(task.chunks, task.masks, task.digests, strict=True):
            entry = self._journal.read(task.stage.key, chunk, inputs=digest)
            if entry is None or entry.attacked != mask:
                return None
            entries.append(entry)
        return entries

    def _write(self, task: Task, entries: Sequence[Entry]) -> None:
        if self._journal is not None:
            for chunk, entry in zip(task.chunks, entries, strict=True):
                self._journal.write(task.stage.key, chunk, entry)

    def _keep(self, task: Task, entries: Sequence[Entry]) -> None:
        """Take in the breaks as the journal has them, so that a resumed run keeps what an uninterrupted one does.

        Raises:
            BenchError: if a journal holds breaks of other examples than those that its entry calls broken.
        """
        for chunk, entry in zip(task.chunks, entries, strict=True):
            self._keeper.add(chunk.number, self._unpacked(task, chunk, entry))

    def _unpacked(self, task: Task, chunk: Chunk, entry: Entry) -> Breaks:
        try:
            breaks = unpack(entry.breaks, n_examples=len(chunk.indices), shape=self._shape)
            self._refuse_strangers(breaks, chunk, entry)
        except ValueError as error:
            if self._journal is None:
                raise
            raise self._journal.refusal(task.stage.key, chunk, str(error)) from error
        return breaks

    def _refuse_other_function(self, task: Task, entries: Sequence[Entry]) -> None:
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
        for chunk, entry in zip(task.chunks, entries, strict=True):
            judged, margins = self._judged(task, chunk, entry)
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

    def _judged(self, task: Task, chunk: Chunk, entry: Entry) -> tuple[Examples, Sequence[float]]:
        """The inputs whose margins a chunk's entry knows, in the order of their indices, and these margins."""
        examples = self._examples[chunk.rows]
        if task.stage.attack is None:
            return examples, entry.margin
        breaks = self._unpacked(task, chunk, entry)
        examples = examples[torch.isin(examples.indices, torch.from_numpy(breaks.indices))]
        inputs = torch.from_numpy(breaks.inputs(examples.inputs.cpu().numpy())) if len(breaks) else examples.inputs
        return Examples(inputs=inputs, labels=examples.labels, indices=examples.indices), breaks.margins.tolist()

    def _refuse_strangers(self, breaks: Breaks, chunk: Chunk, entry: Entry) -> None:
        labels = dict(zip(chunk.indices, self._examples.labels[chunk.rows].tolist(), strict=True))
        broken = {chunk.indices[position - chunk.start] for position in _broken([chunk], [entry])}
        held = dict(zip(breaks.indices.tolist(), breaks.labels.tolist(), strict=True))
        if not broken.issuperset(held) or any(labels[index] != label for index, label in held.items()):
            raise ValueError("Expected breaks of the broken examples alone.")
        if len(breaks) and breaks.shape != self._shape:
            raise ValueError(f"Expected breaks of shape {self._shape}.")


def _broken(group: Sequence[Chunk], entries: Sequence[Entry]) -> Iterator[int]:
    for chunk, entry in zip(group, entries, strict=True):
        for position, (attacked, robust) in enumerate(zip(entry.attacked, entry.robust, strict=True), chunk.start):
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
