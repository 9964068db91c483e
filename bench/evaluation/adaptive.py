"""An adaptive suite: what every model gets, then what the structure of this one calls for.

Each part is an evaluation of its own, in a journal of its own. So the part that every model gets is, to the byte, the
work of the suite that is extended: whichever runs first, the other finds it done.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import torch
from torch import nn

from bench.attacks import parameters
from bench.attacks.adaptive.report import Report, ReportedAttack
from bench.attacks.adaptive.views import ViewName, view_of
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.evaluation import Evaluation
from bench.evaluation.execution.executor import Executor
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.journal.header import Identity
from bench.evaluation.measuring import shares
from bench.evaluation.progress import ProgressCallback
from bench.evaluation.search_precision import FLOAT32
from bench.evaluation.structure import checked_structures
from bench.row.adversarials import merge
from bench.row.packing import pack_verdicts
from bench.row.result import Reported
from bench.storage.place import Place
from bench.suites import AttackSuite

__all__ = ["ByStructure", "Evaluate"]


class Evaluate(Protocol):
    """`evaluate`, told all that the parts have in common."""

    def __call__(
        self,
        module: nn.Module,
        examples: Examples,
        *,
        suite: AttackSuite,
        journal: Place | None,
        precision: str,
        progress: ProgressCallback | None,
        identity: Identity | None,
        executor: Executor | None,
    ) -> Evaluation: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByStructure:
    """One evaluation under an adaptive suite.

    Args:
        evaluate: evaluates one part.
        module: the model.
        examples: what it is tried on.
        threat_model: what the attacker may do.
        suite: with rules.
        seed: of the attacks' draws.
        device: where to compute.
        precision: of the search in the part that every model gets; all others search in float32.
        journal: a folder that keeps what is done; parts beyond the plain suite lie in folders inside it.
        progress: told of every part.
        identity: of the model and the examples, or None.
        executor: computes the tasks, or None for this process.
    """

    evaluate: Evaluate
    module: nn.Module
    examples: Examples
    threat_model: ThreatModel
    suite: AttackSuite
    seed: int
    device: torch.device
    precision: str
    journal: Place | None
    progress: ProgressCallback | None
    identity: Identity | None
    executor: Executor | None

    def run(self) -> Evaluation:
        """Evaluate every part and put them together.

        Raises:
            BenchError: if the model's declaration is not true of it, and as `evaluate` does.
        """
        structures = checked_structures(self.module, self.examples[:CHUNK_SIZE].inputs, self.device)
        found = self._evaluate("model", self.suite.plain, self.journal, self.precision)
        for rule in self.suite.rules_for(structures):
            extra = self._part("model", rule.structure, rule.attacks)
            found = _joined(found, extra)
            for report in rule.reports:
                found = self._with_report(found, report)
        return found

    def _with_report(self, found: Evaluation, report: Report) -> Evaluation:
        """With what is reported beside the verdicts; a measurement that fails costs no verdict, and says why."""
        try:
            return dataclasses.replace(found, reported=(*found.reported, self._reported(report)))
        except BenchError:  # of an attack, whose journal keeps what was finished
            raise
        except Exception as error:  # noqa: BLE001 - a measurement may raise anything
            return dataclasses.replace(found, not_run={**found.not_run, report.name: reason_of(error)})

    def _part(self, view: ViewName, name: str, attacks: tuple[Attack, ...]) -> Evaluation:
        suite = AttackSuite(name=f"{self.suite.name}-{name}", version=self.suite.version, attacks=attacks)
        folder = self.journal / suite.label if self.journal is not None else None
        return self._evaluate(view, suite, folder, FLOAT32)

    def _evaluate(self, view: ViewName, suite: AttackSuite, journal: Place | None, precision: str) -> Evaluation:
        return self.evaluate(
            view_of(self.module, view),
            self.examples,
            suite=suite,
            journal=journal,
            precision=precision,
            progress=self.progress,
            identity=self.identity if view == "model" else None,  # another view has a digest of its own
            executor=self.executor.viewed(view) if self.executor else None,
        )

    def _reported(self, report: Report) -> Reported:
        if not isinstance(report, ReportedAttack):
            found = shares(report, self.module, self.examples, self.threat_model, seed=self.seed, device=self.device)
            return Reported(name=report.name, parameters=parameters(report), statistics=found)
        evaluation = self._part(report.view, report.name, (report.attack,))
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
        breaks=merge(first.breaks, second.breaks),
    )
