"""One evaluation in parts that know nothing of each other, for clusters without Ray: `--shard 2/8`, then a merge.

A part is whole blocks of the grid, in which nothing depends on other blocks. Its work goes to a journal of its own;
merging puts the journals together and finishes the run as one machine would, without computing anything again.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core.errors import BenchError
from bench.core.types import CascadeRules
from bench.evaluation import (
    IN_PASSES,
    MEASURED,
    Pool,
    ProgressCallback,
    RunPlan,
    assemble_plan,
    blocks_of,
    chunks_of,
    evaluate_plan,
    gather,
    settled,
)
from bench.jobs.extent import Extent
from bench.jobs.findings import Closing, find, passes_left
from bench.jobs.request import RunRequest, resolve
from bench.jobs.run import Ran, executor_of, finish, prepared
from bench.storage import Place, matching

__all__ = ["Shard", "ShardDone", "merge", "run_shard"]

_FORM = re.compile(r"(?P<number>[0-9]{1,6})/(?P<count>[0-9]{1,6})")
_FOLDER = re.compile(r"shard-(?P<number>[0-9]{1,6})-of-(?P<count>[0-9]{1,6})")
_MERGED = "merged"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of `count` parts of a run.

    Args:
        number: 1 to `count`.
        count: how many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/8`.

        >>> Shard.parse("2/8")
        Shard(number=2, count=8)

        Raises:
            BenchError: if it is not such a text, or there is no such part.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise BenchError(f"Expected a shard as NUMBER/COUNT, such as 2/8, but got {text!r}.")
        shard = cls(number=int(match["number"]), count=int(match["count"]))
        if not 1 <= shard.number <= shard.count:
            raise BenchError(f"Expected a shard from 1/{shard.count} to {shard.count}/{shard.count}, but got {text!r}.")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of its journal's folder."""
        return f"shard-{self.number}-of-{self.count}"

    def rows(self, indices: Sequence[int], batch_size: int) -> slice:
        """Where its examples stand in the run: whole blocks, as evenly as may be; maybe none."""
        ends = [0, *(block[-1].rows.stop for block in blocks_of(chunks_of(indices), batch_size))]
        n_blocks = len(ends) - 1
        first, last = ((self.number - 1 + step) * n_blocks // self.count for step in (0, 1))
        return slice(ends[first], ends[last])


@dataclass(frozen=True, kw_only=True)
class ShardDone:
    """A part that is done.

    Args:
        shard: which.
        rows: where its examples stand in the run.
        journal: where its work lies; None where it has no examples.
    """

    shard: Shard
    rows: slice
    journal: Place | None


def run_shard(
    request: RunRequest,
    shard: Shard,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
    pool: Pool | None = None,
) -> ShardDone:
    """Compute one part of the run that is asked for; no row is written.

    Args:
        request: the whole run.
        shard: the part.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` after every group of chunks.
        pool: the workers; None for this process.

    Raises:
        BenchError: if a name, a file or a value is wrong, or the run cannot be divided.
        WorkFailedError: if an attack fails twice or the disk is full; the journal keeps what was finished.
    """
    run = resolve(request, notify, computed_on=pool.device if pool is not None else None)
    whole, folder = run.plan, _folder(run.plan)
    _refuse_undividable(request, whole)
    rows = shard.rows(whole.indices, whole.header.batch_size)
    n_examples = len(whole.examples)
    if rows.start == rows.stop:
        few = f"{n_examples} are too few blocks for so many"
        notify(f"Shard {shard} has no examples: {few}. A smaller --batch-size makes more.")
        return ShardDone(shard=shard, rows=rows, journal=None)
    journal = folder / shard.folder
    notify(f"Shard {shard}: examples {rows.start}:{rows.stop} of {n_examples}, journal {journal}")
    start = time.perf_counter()
    run = dataclasses.replace(run, plan=settled(dataclasses.replace(whole.part(rows), journal=journal)))
    looks = rows.start == 0  # what the doctor looks at are the run's first examples
    evaluation = evaluate_plan(
        run.plan,
        progress=on_progress,
        costs=dataclasses.replace(IN_PASSES, after=passes_left(run)(n_examples) if looks else 0.0),
        executor=executor_of(run, pool),
    )
    if looks:
        closing = Closing(evaluation, start=start, listener=on_progress)
        find(run, n_examples, evaluation, closing=closing)
    return ShardDone(shard=shard, rows=rows, journal=journal)


def merge(
    request: RunRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
    computed_on: str | None = None,
) -> Ran:
    """Write the row of a run all of whose parts are done.

    Args:
        request: the whole run, as it was for its parts.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` after every group of chunks.
        computed_on: kind of device that the parts had; None for that of the request.

    Raises:
        BenchError: if a part is missing or not done, or of another run.
    """
    run = prepared(request, notify, computed_on=computed_on)
    folder = _folder(run.plan)
    gather(_parts(folder, run.plan), folder / _MERGED)
    run = dataclasses.replace(run, plan=dataclasses.replace(run.plan, journal=folder / _MERGED))
    start = time.perf_counter()
    evaluation = assemble_plan(run.plan)
    n_examples = len(run.plan.examples)
    extent = Extent(n_examples=n_examples, n_asked=n_examples)
    return finish(run, evaluation, extent, start=start, notify=notify, on_progress=on_progress)


def _refuse_undividable(request: RunRequest, plan: RunPlan) -> None:
    if request.budget is not None:
        raise BenchError("Shards have no common clock, so a budget cannot be kept: leave --budget out, or --shard.")
    if request.precision == MEASURED:
        raise BenchError("Shards would each measure for themselves: name another --precision, or leave --shard out.")
    for attack in plan.suite.attacks:
        if isinstance(attack.cascade_rules, CascadeRules):
            raise BenchError(
                f"Suite {plan.suite.label} chooses among the survivors of all examples, which no shard sees."
                " Take another suite, or --executor ray."
            )


def _folder(plan: RunPlan) -> Place:
    """Where the parts' journals lie."""
    if plan.journal is None:
        raise ValueError("Expected `plan` to have a journal.")
    return plan.journal


def _parts(folder: Place, plan: RunPlan) -> list[Place]:
    """The journals of all parts that have examples, in their order."""
    matches = [_FOLDER.fullmatch(child.name) for child in matching(folder, "*")]
    found = [Shard(number=int(match["number"]), count=int(match["count"])) for match in matches if match is not None]
    counts = sorted({shard.count for shard in found})
    if not counts:
        raise BenchError(f"No shards in {folder}. Name the folder that was their --journal, and the options they had.")
    if len(counts) > 1:
        several = " and of ".join(map(str, counts))
        raise BenchError(f"Shards of {several} parts in {folder}. Remove those that are not meant.")
    needed = [Shard(number=number, count=counts[0]) for number in range(1, counts[0] + 1)]
    needed = [shard for shard in needed if (rows := shard.rows(plan.indices, plan.header.batch_size)).start < rows.stop]
    missing = [str(shard) for shard in needed if shard not in found]
    if missing:
        raise BenchError(f"Missing in {folder}: shard {', '.join(missing)}. Run it with the same options and --shard.")
    return [folder / shard.folder for shard in needed]
