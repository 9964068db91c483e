"""What a finished run found, put together from what is done: nothing is computed and no model is needed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TypeVar

import torch

from bench.attacks import parameters
from bench.core.types import Attack
from bench.evaluation.evaluation import AttackOutcome, Evaluation
from bench.evaluation.plan import RunPlan
from bench.evaluation.result_store import ResultStore
from bench.evaluation.schedule import Schedule, Scheduled

__all__ = ["assemble"]

_T = TypeVar("_T")


def assemble(plan: RunPlan, store: ResultStore) -> Evaluation:
    """Put an evaluation together, in the order in which its results are wanted.

    Args:
        plan: the run.
        store: what is done of it.

    Raises:
        BenchError: if something is not done, which is named.
    """
    indices = plan.examples.indices.tolist()
    found = Schedule(store, plan.scheduled, indices=indices, seed=plan.header.seed).run()
    places = {index: place for place, index in enumerate(indices)}
    order = [places[index] for index in plan.indices]
    results = [found.clean, *found.stages.values()]
    return Evaluation(
        header=plan.header,
        threat_model=plan.threat_model,
        device=_name_of(plan.device),
        indices=plan.indices,
        clean=_pick(found.clean.robust, order),
        clean_margin=_pick(found.clean.margin, order),
        attacks=tuple(_outcome(attack, found, order) for attack in plan.suite.attacks),
        finite=_pick([all(each) for each in zip(*(result.finite for result in results), strict=True)], order),
        batch_size=min(result.batch_size for result in results),
        breaks=store.breaks,
        audit=found.audit,
    )


def _outcome(attack: Attack, found: Scheduled, order: Sequence[int]) -> AttackOutcome:
    # The parameters are the suite's, whatever the model declares; its stages are those that ran.
    stages = [stage.pick(order) for (name, _), stage in found.stages.items() if name == attack.name]
    clean = found.clean.pick(order)
    best = (min(margins) for margins in zip(*(stage.margin for stage in stages), strict=True))
    return AttackOutcome(
        name=attack.name,
        parameters=parameters(attack),
        margin=tuple(
            tried if correct else untried
            for correct, tried, untried in zip(clean.robust, best, clean.margin, strict=True)
        ),
        stages=tuple(stages),
    )


def _pick(values: Sequence[_T], order: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[place] for place in order)


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()}"
