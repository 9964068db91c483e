"""What a finished run found, put together from what is done: nothing is computed and no model is needed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TypeVar

import torch

from bench.attacks import parameters
from bench.core.statistics import wilson
from bench.core.types import Attack
from bench.evaluation.evaluation import AttackOutcome, Evaluation
from bench.evaluation.plan import RunPlan
from bench.evaluation.result_store import ResultStore
from bench.evaluation.schedule import Schedule, Scheduled
from bench.row import Reported, pack_verdicts
from bench.suites import VERDICT_PASSES

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
        reported=_over_draws(found, order) if plan.suite.stochastic else (),
    )


def _over_draws(found: Scheduled, order: Sequence[int]) -> tuple[Reported, ...]:
    """What of a stochastic model is reported beside its verdicts, on clean inputs and on the worst points found.

    The worst point of an example is that on which the fewest passes are right; of equal ones the first. The one-shot
    number is a single pass over each, as papers report it. The expected accuracy is the mean share of right passes;
    Wilson's interval of as many verdicts contains it more surely than it says, since shares vary less than verdicts.
    """
    clean = _pick(found.clean.right, order)
    columns = [found.clean, *found.stages.values()]
    tried = [
        [right for right, seen in zip(rights, attacked, strict=True) if seen]
        for rights, attacked in zip(
            zip(*(stage.right for stage in columns), strict=True),
            zip(*(stage.attacked for stage in columns), strict=True),
            strict=True,
        )
    ]
    worst = _pick([min(rights, key=int.bit_count) for rights in tried], order)
    robust = [bool(right & 1) for right in worst]
    once = Reported(
        name="one-shot",
        parameters={"passes": 1},
        n_robust=sum(robust),
        robust=pack_verdicts(robust),
        statistics={"clean_accuracy": sum(right & 1 for right in clean) / len(clean)},
    )
    expected = Reported(
        name="expected-accuracy",
        parameters={"passes": VERDICT_PASSES},
        statistics={**_share_of_right("clean", clean), **_share_of_right("robust", worst)},
    )
    return once, expected


def _share_of_right(name: str, passes: Sequence[int]) -> dict[str, float]:
    """The mean share of right passes, and its interval."""
    share = sum(map(int.bit_count, passes)) / (VERDICT_PASSES * len(passes))
    low, high = wilson(share * len(passes), len(passes))
    return {f"{name}_accuracy": share, f"{name}_from": low, f"{name}_to": high}


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
