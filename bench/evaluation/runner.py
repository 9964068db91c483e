"""One stage on all chunks: what the journal has is taken, the rest is perturbed, judged and journaled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.breaks import Breaks, merge
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.counting import Passes
from bench.evaluation.executors.local import LocalExecutor
from bench.evaluation.forms import Forms, Searched
from bench.evaluation.grid import Chunk, chunks_of, each_alone, groups_of
from bench.evaluation.header import inputs_digest
from bench.evaluation.journal import Entry, Journal
from bench.evaluation.keeping import Keeper, pack, unpack
from bench.evaluation.verify import Judgement, judge

__all__ = ["CLEAN", "GroupDone", "Runner", "Stage", "Verdicts", "merged"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is done to every chunk.

    Args:
        key: names its folder in the journal.
        attack: what searches; None judges the clean inputs.
    """

    key: str
    attack: Attack | None

    @classmethod
    def of(cls, attack: Attack, part: Attack, *, suffix: str = "") -> Stage:
        """The stage `part` of `attack`; the suffix keeps a second pass apart from the first."""
        single = len(attack.stages) == 1
        return cls(
            key=".".join(word for word in (attack.name, "" if single else part.name, suffix) if word), attack=part
        )

    @property
    def per_chunk(self) -> bool:
        """Whether the attack's draws depend on its batch, so that chunks must not share one."""
        return bool(getattr(self.attack, "per_chunk", False))


CLEAN = Stage(key="clean", attack=None)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A stage's entries put together; one item per example of the run, as in `Entry`."""

    robust: tuple[bool, ...]
    margin: tuple[float, ...]
    finite: tuple[bool, ...]
    moved: int
    seconds: float
    forwards: int
    backwards: int
    batch_size: int
    n_claimed: int
    n_refused: int

    def sparing(self, spared: Sequence[bool]) -> Verdicts:
        """The same verdicts, with examples that the stage was spared counted as robust to it."""
        return replace(self, robust=tuple(held or left for held, left in zip(self.robust, spared, strict=True)))


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


class _Part:
    """What one compute batch gave: its judgement, the passes that the attack took, and the breaks worth keeping."""

    def __init__(self, judgement: Judgement, passes: Passes, breaks: Breaks, searched: Searched) -> None:
        self.robust: list[bool] = judgement.robust.tolist()
        self.margin: list[float] = judgement.margin.tolist()
        self.finite: list[bool] = judgement.finite.tolist()
        self.moved: list[bool] = judgement.moved.tolist()
        self.passes = passes
        self.breaks = breaks
        count = len(self.robust)
        self.claimed: list[bool] = [False] * count if searched.claimed is None else searched.claimed.tolist()
        self.refused: list[bool] = [False] * count if searched.refused is None else searched.refused.tolist()


class Runner:
    """Runs stages of one evaluation, and keeps the strongest break of each example over all of them.

    Args:
        module: the model, borrowed: frozen, in eval mode, on its device.
        forms: what attacks search on in its place.
        examples: sorted by index, anywhere.
        threat_model: what the attacker may do.
        seed: of the run.
        device: where to compute.
        batch_size: most examples at once.
        journal: what is done, or None to keep nothing.
    """

    def __init__(
        self,
        *,
        module: nn.Module,
        forms: Forms,
        examples: Examples,
        threat_model: ThreatModel,
        seed: int,
        device: torch.device,
        batch_size: int,
        journal: Journal | None,
    ) -> None:
        self._module = module
        self._forms = forms
        self._examples = examples
        self._threat_model = threat_model
        self._seed = seed
        self._device = device
        self._journal = journal
        self._batch_size = batch_size
        self._executor = LocalExecutor(batch_size)
        self._chunks = chunks_of(examples.indices.tolist())
        self._inputs = {chunk: inputs_digest(examples[chunk.rows]) for chunk in self._chunks}
        self._shape = tuple(examples.inputs.shape[1:])
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
            report: told after each group of chunks.
        """
        entries: list[Entry] = []
        shared = groups_of(self._chunks, attacked, self._batch_size)
        for group in each_alone(self._chunks) if stage.per_chunk else shared:
            masks = [tuple(attacked[chunk.rows]) for chunk in group]
            known = [self._read(stage, chunk, mask) for chunk, mask in zip(group, masks, strict=True)]
            stored = [entry for entry in known if entry is not None]
            # A group is computed as a whole, so that a resumed run has the same batches as an uninterrupted one.
            reused = len(stored) == len(group)
            new = stored if reused else self._compute(stage, group, masks)
            self._keep(group, new)
            entries += new
            report(
                GroupDone(
                    n_done=len(entries),
                    n_chunks=len(self._chunks),
                    rows=slice(group[0].start, group[-1].rows.stop),
                    robust=tuple(verdict for entry in new for verdict in entry.robust),
                    lost=tuple(_broken(group, new)),
                    seconds=sum(entry.seconds for entry in new),
                    reused=reused,
                )
            )
        return _join(entries)

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
        examples = self._examples[torch.tensor(about)].to(self._device)
        if not len(examples):
            return ()
        parts = self._executor.run(lambda batch: question(self._module, batch), examples, whole=False, what=what)
        return tuple(answer for part in parts for answer in part.tolist())

    def _read(self, stage: Stage, chunk: Chunk, attacked: tuple[bool, ...]) -> Entry | None:
        """The stored entry, unless it is about other examples (an earlier stage was done again and differs)."""
        if self._journal is None:
            return None
        entry = self._journal.read(stage.key, chunk, inputs=self._inputs[chunk])
        return entry if entry is not None and entry.attacked == attacked else None

    def _keep(self, group: Sequence[Chunk], entries: Sequence[Entry]) -> None:
        """Take in the breaks as the journal has them, so that a resumed run keeps what an uninterrupted one does."""
        for chunk, entry in zip(group, entries, strict=True):
            self._keeper.add(chunk.number, unpack(entry.breaks, n_examples=len(chunk.indices), shape=self._shape))

    def _compute(self, stage: Stage, group: Sequence[Chunk], masks: Sequence[tuple[bool, ...]]) -> list[Entry]:
        start = time.perf_counter()
        mask = torch.tensor([attacked for part in masks for attacked in part])
        examples = self._examples[group[0].start : group[-1].rows.stop][mask].to(self._device)
        parts: list[_Part] = []
        if len(examples):
            what = f"{stage.key} on chunk {group[0].number}" + (f" to {group[-1].number}" if len(group) > 1 else "")
            parts = self._executor.run(
                lambda batch: self._work(stage, batch), examples, whole=stage.per_chunk, what=what
            )
        seconds = time.perf_counter() - start
        shared = _Shared(parts=parts, seconds=seconds, batch_size=self._executor.batch_size, inputs=self._inputs)
        entries = _share_out(group, masks, shared)
        if self._journal is not None:
            for chunk, entry in zip(group, entries, strict=True):
                self._journal.write(stage.key, chunk, entry)
        return entries

    def _work(self, stage: Stage, batch: Examples) -> _Part:
        """Perturb, then verify and predict."""
        self._forms.reset()
        searched = Searched(batch.inputs)
        if stage.attack is not None:
            searched = self._forms.search(stage.attack, batch, self._threat_model, seed=self._seed)
        judgement = judge(self._module, searched.points, batch, self._threat_model)
        breaks = Breaks.none(self._shape)
        if stage.attack is not None:
            breaks = self._keeper.news(self._module, batch, judgement, self._threat_model)
        return _Part(judgement, self._forms.passes, breaks, searched)


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What the chunks of a group have in common, and the digest of each chunk's inputs."""

    parts: Sequence[_Part]
    seconds: float
    batch_size: int
    inputs: Mapping[Chunk, str]


def _share_out(group: Sequence[Chunk], masks: Sequence[tuple[bool, ...]], shared: _Shared) -> list[Entry]:
    """Give every chunk its examples' verdicts, and its share of time and passes by the examples that it had."""
    parts = shared.parts
    robust = iter([verdict for part in parts for verdict in part.robust])
    margin = iter([value for part in parts for value in part.margin])
    finite = iter([verdict for part in parts for verdict in part.finite])
    moved = iter([verdict for part in parts for verdict in part.moved])
    breaks = merge(*(part.breaks for part in parts)) if parts else None
    claimed = iter([verdict for part in parts for verdict in part.claimed])
    refused = iter([verdict for part in parts for verdict in part.refused])
    total, before = max(1, sum(map(sum, masks))), 0
    passes = Passes(sum(part.passes.forwards for part in parts), sum(part.passes.backwards for part in parts))
    entries = []
    for chunk, mask in zip(group, masks, strict=True):
        after = before + sum(mask)
        entries.append(
            Entry(
                inputs=shared.inputs[chunk],
                attacked=mask,
                robust=tuple(next(robust) if attacked else False for attacked in mask),
                margin=tuple(next(margin) if attacked else float("inf") for attacked in mask),
                finite=tuple(next(finite) if attacked else True for attacked in mask),
                moved=sum(next(moved) for attacked in mask if attacked),
                seconds=shared.seconds * (after - before) / total,
                forwards=passes.forwards * after // total - passes.forwards * before // total,
                backwards=passes.backwards * after // total - passes.backwards * before // total,
                batch_size=shared.batch_size,
                breaks=pack(breaks.pick(np.isin(breaks.indices, chunk.indices))) if breaks is not None else "",
                n_claimed=sum(next(claimed) for attacked in mask if attacked),
                n_refused=sum(next(refused) for attacked in mask if attacked),
            )
        )
        before = after
    return entries


def _broken(group: Sequence[Chunk], entries: Sequence[Entry]) -> Iterator[int]:
    for chunk, entry in zip(group, entries, strict=True):
        for position, (attacked, robust) in enumerate(zip(entry.attacked, entry.robust, strict=True), chunk.start):
            if attacked and not robust:
                yield position


def _join(entries: Sequence[Entry]) -> Verdicts:
    return Verdicts(
        robust=tuple(verdict for entry in entries for verdict in entry.robust),
        margin=tuple(value for entry in entries for value in entry.margin),
        finite=tuple(verdict for entry in entries for verdict in entry.finite),
        moved=sum(entry.moved for entry in entries),
        seconds=sum(entry.seconds for entry in entries),
        forwards=sum(entry.forwards for entry in entries),
        backwards=sum(entry.backwards for entry in entries),
        batch_size=min(entry.batch_size for entry in entries),
        n_claimed=sum(entry.n_claimed for entry in entries),
        n_refused=sum(entry.n_refused for entry in entries),
    )


def merged(first: Verdicts, second: Verdicts) -> Verdicts:
    """One stage's verdicts on two sets of examples that have none in common, in one."""
    return Verdicts(
        robust=tuple(map(any, zip(first.robust, second.robust, strict=True))),
        margin=tuple(map(min, first.margin, second.margin)),
        finite=tuple(map(all, zip(first.finite, second.finite, strict=True))),
        moved=first.moved + second.moved,
        seconds=first.seconds + second.seconds,
        forwards=first.forwards + second.forwards,
        backwards=first.backwards + second.backwards,
        batch_size=min(first.batch_size, second.batch_size),
        n_claimed=first.n_claimed + second.n_claimed,
        n_refused=first.n_refused + second.n_refused,
    )
