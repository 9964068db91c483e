"""An adaptive suite: what every model gets, then what the structure of this one calls for.

Each part is a run of its own, with a plan and a journal of its own. So the part that every model gets is, to the byte,
the work of the suite that is extended: whichever runs first, the other finds it done.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

import torch
from torch import nn

from bench.attacks import parameters
from bench.attacks.adaptive import Measurement, Report, ReportedAttack, ViewName
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.structure import structures_of
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.evaluation import Evaluation
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.model_guard import guarded
from bench.evaluation.plan import RunPlan
from bench.ops.full_float32 import full_float32
from bench.row import Reported, pack_verdicts
from bench.row.arrays import merge_breaks
from bench.suites import AttackSuite

__all__ = ["all_parts", "shares"]


def all_parts(plan: RunPlan, found_of: Callable[[RunPlan], Evaluation]) -> Evaluation:
    """Put together what was found in all parts of a run; a suite without rules has one.

    Args:
        plan: the run; what the model declares of its structure is true of it.
        found_of: executes and assembles, or assembles alone, a plan whose suite has no rules.

    Raises:
        BenchError: as `found_of` does.
    """
    found = found_of(dataclasses.replace(plan, suite=plan.suite.plain))
    for rule in plan.suite.rules_for(structures_of(plan.module)):
        found = _joined(found, found_of(_part(plan, rule.structure or "all", rule.attacks)))
        for report in rule.reports:
            found = _with_report(found, plan, report, found_of)
    return found


def shares(
    measurement: Measurement,
    module: nn.Module,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """For each thing that is measured, the share of examples for which it holds, in [0, 1].

    Args:
        measurement: what to ask.
        module: the model; it is handed back as it was.
        examples: at least one.
        threat_model: what an attacker may do.
        seed: of the attacks' draws.
        device: where to compute.
    """
    counts: Counter[str] = Counter()
    with guarded(module, device), full_float32():
        for part in examples.split(CHUNK_SIZE):
            found = measurement.measure(module, part.to(device), threat_model, seed=seed)
            counts.update({name: int(holds.sum()) for name, holds in found.items()})
    return {name: count / len(examples) for name, count in counts.items()}


def _part(plan: RunPlan, name: str, attacks: tuple[Attack, ...], *, view: ViewName = "model") -> RunPlan:
    suite = AttackSuite(name=f"{plan.suite.name}-{name}", version=plan.suite.version, attacks=attacks)
    return plan.under(suite, view=view)


def _with_report(
    found: Evaluation, plan: RunPlan, report: Report, found_of: Callable[[RunPlan], Evaluation]
) -> Evaluation:
    """With what is reported beside the verdicts; a measurement that fails costs no verdict, and says why."""
    try:
        return dataclasses.replace(found, reported=(*found.reported, _reported(plan, report, found_of)))
    except BenchError:  # of an attack, whose journal keeps what was finished
        raise
    except Exception as error:  # noqa: BLE001 - a measurement may raise anything
        return dataclasses.replace(found, not_run={**found.not_run, report.name: reason_of(error)})


def _reported(plan: RunPlan, report: Report, found_of: Callable[[RunPlan], Evaluation]) -> Reported:
    if not isinstance(report, ReportedAttack):
        measured = shares(
            report, plan.module, plan.examples, plan.threat_model, seed=plan.header.seed, device=plan.device
        )
        return Reported(name=report.name, parameters=parameters(report), statistics=measured)
    evaluation = found_of(_part(plan, report.name, (report.attack,), view=report.view))
    return Reported(
        name=report.name,
        parameters=parameters(report),
        n_robust=evaluation.n_robust,
        robust=pack_verdicts(evaluation.robust),
        statistics={"clean_accuracy": evaluation.clean_accuracy},
    )


def _joined(first: Evaluation, second: Evaluation) -> Evaluation:
    """Two evaluations of the same model on the same examples; each example is as finite as in both."""
    return dataclasses.replace(
        first,
        attacks=(*first.attacks, *second.attacks),
        finite=tuple(there and here for there, here in zip(first.finite, second.finite, strict=True)),
        batch_size=min(first.batch_size, second.batch_size),
        breaks=merge_breaks(first.breaks, second.breaks),
    )
