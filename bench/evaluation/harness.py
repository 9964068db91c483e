"""Model, examples, threat model and suite in; verdicts out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from bench import suites
from bench.core.types import Examples, ThreatModel
from bench.evaluation.adaptive import all_parts
from bench.evaluation.assemble import assemble
from bench.evaluation.cost.forecast import Costs
from bench.evaluation.evaluation import Evaluation
from bench.evaluation.execute import execute
from bench.evaluation.execution.executor import Executor
from bench.evaluation.journal.header import InputDigests
from bench.evaluation.journal.journal import open_journal
from bench.evaluation.plan import RunPlan, make_plan, settled, settled_by_journal
from bench.evaluation.progress import ProgressCallback
from bench.evaluation.result_store import ResultStore
from bench.evaluation.search_precision import AUTO
from bench.storage import Place, place
from bench.suites import AttackSuite

__all__ = ["assemble_plan", "evaluate", "evaluate_plan"]


def evaluate(
    module: nn.Module,
    examples: Examples,
    *,
    threat_model: ThreatModel | str,
    suite: AttackSuite | str,
    seed: int = 0,
    journal: Place | str | None = None,
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    precision: str = AUTO,
    progress: ProgressCallback | None = None,
    costs: Costs | None = None,
    identity: InputDigests | None = None,
    executor: Executor | None = None,
    surrogates: Mapping[str, nn.Module] | None = None,
) -> Evaluation:
    """Attack a model and say which examples withstand it.

    The model is handed back as it was: mode, gradients, device, memory format, random state.

    Args:
        module: inputs `(N, C, H, W)` in [0, 1] to logits `(N, num_classes)`; in eval mode
            deterministic, or declared stochastic (`stochastic = True`) and with a suite for that.
        examples: what it is tried on.
        threat_model: what the attacker may do; text such as "Linf:8/255" will do.
        suite: the attacks, or the name of a suite.
        seed: of the attacks' random draws.
        journal: a folder, or a URL such as s3://bucket/folder, that keeps what is done, so that the same call goes on
            where a killed one stopped.
        device: where to compute; by default where the module lies.
        batch_size: most examples at once; by default 64 on a CPU and 512 elsewhere, or what the journal says. An
            attack whose draws depend on its batch always gets one chunk of 64.
        precision: of our own engine's search: "float32", "bf16+float32", "auto", which is a rule from the model and the
            device, or "measured", which is what the journal says, or else a stopwatch. What counts is always judged in
            float32.
        progress: called with a `Progress` after every group of chunks.
        costs: what a probe measured, for the estimate of the time left; by default passes are counted.
        identity: digests for the journal; by default those of the module and the examples themselves.
        executor: computes the tasks; by default this process does. The result is the same.
        surrogates: for `blackbox-v1`, one or two other models of the same classes, by name.

    Raises:
        BenchError: if examples, model, suite and journal do not fit each other.
        WorkFailedError: if an attack fails twice, or the disk is full; the journal keeps what was finished.
    """
    asked = make_plan(
        module,
        examples,
        threat_model=ThreatModel.parse(threat_model) if isinstance(threat_model, str) else threat_model,
        suite=suites.get(suite) if isinstance(suite, str) else suite,
        seed=seed,
        device=device,
        computed_on=executor.pool.device if executor is not None else None,
        batch_size=batch_size,
        precision=precision,
        identity=identity,
        journal=place(journal) if journal is not None else None,
        surrogates=surrogates,
    )
    return evaluate_plan(asked, executor=executor, progress=progress, costs=costs)


def evaluate_plan(
    plan: RunPlan,
    *,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
    costs: Costs | None = None,
) -> Evaluation:
    """Execute what is not done of a run, then assemble what is.

    Args:
        plan: the run; it is settled here if nobody has.
        executor: computes the tasks; None for this process.
        progress: called with a `Progress` after every group of chunks.
        costs: of the stages, for the estimate of the time left; None counts passes.

    Raises:
        BenchError: if model and journal do not fit each other.
        WorkFailedError: if an attack fails twice, or the disk is full; the journal keeps what was finished.
    """

    def found_of(part: RunPlan) -> Evaluation:
        with _store_of(settled(part)) as (opened, store):
            execute(opened, store, executor=executor, progress=progress, costs=costs)
            return assemble(opened, store)

    return all_parts(settled(plan), found_of)


def assemble_plan(plan: RunPlan) -> Evaluation:
    """Assemble a run all of whose work is in its journal; no attack runs.

    Raises:
        BenchError: if something is missing, which is named, or the journal is another run's.
    """

    def found_of(part: RunPlan) -> Evaluation:
        with _store_of(settled_by_journal(part)) as (opened, store):
            return assemble(opened, store)

    return all_parts(plan, found_of)


@contextlib.contextmanager
def _store_of(plan: RunPlan) -> Iterator[tuple[RunPlan, ResultStore]]:
    """What is done of a run, its journal held; and the plan with the words of its journal."""
    if plan.journal is None:
        yield plan, ResultStore(plan, None)
        return
    with open_journal(plan.journal, plan.header) as journal:
        yield dataclasses.replace(plan, header=journal.header), ResultStore(plan, journal)
