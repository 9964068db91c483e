"""One task computed in this process: perturb, verify, judge, and share the result out over its chunks.

Batches become smaller when memory runs out, and an attack that fails is tried once more.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import reason_of
from bench.core.types import Examples, ThreatModel
from bench.evaluation.cascade import has_gradient
from bench.evaluation.execution.task import Task
from bench.evaluation.forms import Forms, Searched
from bench.evaluation.plan import RunPlan
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import GRADIENTS, Stage
from bench.evaluation.strongest_breaks import new_breaks
from bench.evaluation.verify import judge

__all__ = ["Computer"]

T = TypeVar("T")


class Computer:
    """Computes tasks of one evaluation; the same task gives the same results in every process.

    Args:
        module: the model, guarded: frozen, in eval mode, on its device.
        forms: what attacks search on in its place.
        threat_model: what the attacker may do.
        seed: of the run.
        device: where to compute.
        batch_size: most examples at once; it halves, for the rest of the run, whenever GPU memory runs out.
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
        self._batch_size = batch_size
        self._forms = forms
        self.threat_model = threat_model
        self.seed = seed
        self.device = device

    @classmethod
    def of(cls, plan: RunPlan) -> Computer:
        """That of a settled run in this process, for as long as the model is lent.

        Raises:
            ValueError: if the plan is not settled.
        """
        if plan.forms is None:
            raise ValueError("Expected `plan` to be settled.")
        return cls(
            module=plan.module,
            forms=plan.forms,
            threat_model=plan.threat_model,
            seed=plan.header.seed,
            device=plan.device,
            batch_size=plan.header.batch_size,
        )

    def run(self, tasks: Iterable[Task], examples: Examples) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        """Compute one task after the other; see `Compute`."""
        for task in tasks:
            yield task, self.compute(task, task.attacked(examples))

    def compute(self, task: Task, attacked: Examples) -> tuple[StageResult, ...]:
        """Return what the stage did to each chunk of the task.

        Args:
            task: what to do.
            attacked: the examples that its stage sees, anywhere.

        Raises:
            WorkFailedError: if it fails twice, or memory does not suffice for one example.
        """
        start = time.perf_counter()
        parts = [StageResult.none(task.stage.name, batch_size=self._batch_size)]
        if len(attacked):
            parts = self._in_batches(
                lambda batch: self._work(task.stage, batch, task.known),
                attacked.to(self.device),
                whole=task.stage.per_chunk,
                what=task.what,
            )
        whole = dataclasses.replace(
            StageResult.concat(parts), seconds=time.perf_counter() - start, batch_size=self._batch_size
        )
        seen = [attacked for mask in task.masks for attacked in mask]
        return whole.spread(seen).split([chunk.indices for chunk in task.chunks])

    def ask(self, question: Callable[[nn.Module, Examples], Tensor], examples: Examples, what: str) -> tuple[bool, ...]:
        """Answer a quick yes-or-no question about each of some examples.

        Args:
            question: of the model and a batch of examples, `(N,)` bool.
            examples: which are meant, anywhere.
            what: how messages call it.
        """
        if not len(examples):
            return ()
        parts = self._in_batches(
            lambda batch: question(self.module, batch.to(self.device)), examples, whole=False, what=what
        )
        return tuple(answer for part in parts for answer in part.tolist())

    def _in_batches(self, work: Callable[[Examples], T], examples: Examples, *, whole: bool, what: str) -> list[T]:
        """Return `work` of each compute batch, in order.

        Args:
            work: the function; called once more where it raises.
            examples: what it works on, at least one.
            whole: keep the examples in one batch while memory allows, whatever the batch size.
            what: how messages call the work ("pgd-20 on chunk 3").

        Raises:
            WorkFailedError: if it raises twice, or memory does not suffice for one example.
            BenchError: one that `work` raises, at once.
        """
        size = len(examples) if whole else min(self._batch_size, len(examples))
        while True:
            try:
                return [_twice(work, part, what) for part in examples.split(size)]
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise WorkFailedError(f"Out of memory: {what}, even with one example at a time.") from error
            size //= 2
            self._batch_size = min(self._batch_size, size)
            torch.cuda.empty_cache()

    def _work(self, stage: Stage, batch: Examples, known: Mapping[int, float]) -> StageResult:
        self._forms.reset()
        searched = Searched.without_claims(batch.inputs)
        if stage.attack is not None:
            # Of its own: an attack that wrote into its inputs would move the ball that it is held to.
            searched = self._forms.search(stage.attack, batch.clone(), self.threat_model, seed=self.seed)
        judgement = judge(self.module, searched.points, batch, self.threat_model, seed=self.seed)
        if stage == GRADIENTS:
            has = has_gradient(self.module, batch)
            judgement = dataclasses.replace(judgement, robust=has, margin=torch.zeros_like(judgement.margin))
        passes, breaks = self._forms.passes, None
        if stage.attack is not None:
            breaks = new_breaks(self.module, batch, judgement, self.threat_model, known=known, seed=self.seed)
        return StageResult(
            name=stage.name,
            attacked=(True,) * len(batch),
            robust=_items(judgement.robust),
            margin=_items(judgement.margin),
            finite=_items(judgement.finite),
            right=_items(judgement.right),
            moved=_items(judgement.moved),
            claimed=_items(searched.claimed),
            rejected=_items(searched.rejected),
            forwards=passes.forwards,
            backwards=passes.backwards,
            batch_size=len(batch),
            breaks=breaks,
        )


def _items(column: Tensor) -> tuple[Any, ...]:
    return tuple(column.tolist())


def _twice(work: Callable[[Examples], T], examples: Examples, what: str) -> T:
    try:
        return work(examples)
    except (BenchError, torch.OutOfMemoryError):
        raise
    except Exception:  # noqa: BLE001 - an attack may raise anything; the second time it is told
        pass
    try:
        return work(examples)
    except (BenchError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise WorkFailedError(f"Failed twice: {what}: {reason_of(error)}. What was finished is kept.") from error
