"""Everything that a run is, resolved once, for everybody who has a part in it.

`make_plan` says what is asked for, `settled` looks at the model and decides what was left open: precision and forms.
Nothing is decided again after that.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.acceleration import FastForms
from bench.attacks import parameters
from bench.attacks.adaptive import ReportedAttack, ViewName, view_of
from bench.core.structure import structures_of
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.fingerprint import take_fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.journal.header import Header, InputDigests, code_digest, engine_of, identify
from bench.evaluation.journal.journal import peek
from bench.evaluation.model_guard import device_of, guarded
from bench.evaluation.sanity import (
    check_attacks,
    check_ball,
    check_examples,
    check_gradients,
    check_model,
    check_stochastic,
    check_surrogates,
)
from bench.evaluation.search_precision import AUTO, FLOAT32, MEASURED, choose_precision, precision_of_suite
from bench.evaluation.structure import checked_structures
from bench.models import adapted, check_values, state_digest
from bench.ops.full_float32 import full_float32
from bench.storage import Place
from bench.suites import AttackSuite

__all__ = ["RunPlan", "make_plan", "settled", "settled_by_journal"]

_BATCH_SIZES = {"cpu": CHUNK_SIZE}
_BATCH_SIZE_ON_ACCELERATOR = 8 * CHUNK_SIZE
_FEW = 8
"""Examples on which a model shows how it has to be asked, and a worker that it has the driver's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RunPlan:
    """One evaluation.

    Args:
        module: the model; whoever uses it guards it.
        view: of the user's model, what `module` is.
        examples: sorted by index.
        indices: of the examples, in the order in which results are wanted.
        threat_model: what the attacker may do.
        suite: the attacks.
        device: where this process computes.
        header: seed, engine, precision, batch size and the digests of everything: what the journal is made for.
        journal: where finished work lies; None to keep none.
        surrogates: other models that examples are transferred from, by name; lent as the model is.
        forms: what attacks search on in the model's place; None until the plan is settled.
    """

    module: nn.Module
    view: ViewName = "model"
    examples: Examples
    indices: tuple[int, ...]
    threat_model: ThreatModel
    suite: AttackSuite
    device: torch.device
    header: Header
    journal: Place | None
    surrogates: Mapping[str, nn.Module] = field(default_factory=dict)
    forms: Forms | None = None

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """All that will run: the suite's attacks, what the model's structure calls for, and what is only reported."""
        structures = structures_of(self.module)
        reports = [report for rule in self.suite.rules_for(structures) for report in rule.reports]
        reported = [_named(each.attack, each.name) for each in reports if isinstance(each, ReportedAttack)]
        return (*self.suite.attacks_for(structures), *reported)

    @property
    def scheduled(self) -> tuple[Attack, ...]:
        """What runs of the suite without rules that every part of a run has, in its order."""
        return self.suite.attacks_for(structures_of(self.module))

    @property
    def few_inputs(self) -> Tensor:
        """Inputs of the first examples, `(N, C, H, W)`, in this process."""
        return self.examples[:_FEW].inputs

    def part(self, rows: slice) -> RunPlan:
        """The same run on a part of the sorted examples."""
        examples = self.examples[rows]
        return dataclasses.replace(self, examples=examples, indices=tuple(examples.indices.tolist()))

    def under(self, suite: AttackSuite, *, view: ViewName = "model") -> RunPlan:
        """A further part of an adaptive run: other attacks in float32, on a view of the model, in an own journal."""
        header = dataclasses.replace(
            self.header,
            suite=suite.label,
            suite_digest=suite.digest,
            attacks={attack.name: parameters(attack) for attack in suite.attacks},
            engine=engine_of(suite),
            precision=FLOAT32,
            precision_reason="asked for",
        )
        part = dataclasses.replace(
            self,
            suite=suite,
            header=header,
            journal=self.journal / suite.label if self.journal is not None else None,
            forms=self.forms.in_float32() if self.forms is not None and header.engine == self.header.engine else None,
        )
        if view == "model":
            return part
        module = view_of(self.module, view)
        digests = dataclasses.asdict(identify(module, self.examples))
        return dataclasses.replace(
            part, module=module, view=view, header=dataclasses.replace(header, **digests), forms=None
        )

    @contextlib.contextmanager
    def model(self) -> Iterator[nn.Module]:
        """The model lent to the block, on the device and in full float32, as its surrogates are."""
        with contextlib.ExitStack() as stack:
            for surrogate in self.surrogates.values():
                stack.enter_context(guarded(surrogate, self.device))
            module = stack.enter_context(guarded(self.module, self.device))
            stack.enter_context(full_float32())
            yield module


def default_batch_size(device: torch.device | str) -> int:
    """Most examples that attacks compute at once, where nobody says otherwise."""
    return _BATCH_SIZES.get(torch.device(device).type, _BATCH_SIZE_ON_ACCELERATOR)


def make_plan(
    module: nn.Module,
    examples: Examples,
    *,
    threat_model: ThreatModel,
    suite: AttackSuite,
    seed: int = 0,
    device: torch.device | str | None = None,
    computed_on: str | None = None,
    batch_size: int | None = None,
    precision: str = AUTO,
    identity: InputDigests | None = None,
    journal: Place | Callable[[Header], Place] | None = None,
    surrogates: Mapping[str, nn.Module] | None = None,
) -> RunPlan:
    """What is asked for; nothing runs yet, and the model is not asked.

    The precision is "auto" where a rule will say, and "measured" where a stopwatch will. The header for an adaptive
    suite is that for the suite which it extends, so that each finds the other's journal.

    Args:
        module: inputs `(N, C, H, W)` in [0, 1] to logits `(N, num_classes)`.
        examples: what it is tried on, in any order.
        threat_model: what the attacker may do.
        suite: the attacks.
        seed: of the attacks' draws.
        device: where this process computes; by default where the module lies.
        computed_on: kind of the workers' devices; by default that of `device`.
        batch_size: most examples computed at once; by default what the journal says, or what suits the device.
        precision: of the search: one of `search_precision.PRECISIONS`.
        identity: digests of model and data; by default those of the module and the examples themselves.
        journal: where finished work lies, or what says so for a header; None to keep none.
        surrogates: other models for a suite that transfers from some, by name.

    Raises:
        BenchError: if examples or suite cannot be evaluated, or the suite not in that precision or without surrogates.
        ValueError: if `batch_size` is below 1.
    """
    check_values(module)
    check_examples(examples)
    check_stochastic(module, suite)
    check_ball(threat_model, examples)
    others = dict(surrogates or {})
    check_surrogates(suite, others)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected `batch_size` to be at least 1, but got {batch_size}.")
    here = torch.device(device) if device is not None else device_of(module)
    kind = torch.device(computed_on or here).type
    plain, choice = suite.plain, precision_of_suite(precision, suite)
    digests = identity or identify(module, examples)
    header = Header(
        model=digests.model,
        factory=digests.factory,
        dataset=digests.dataset,
        suite=plain.label,
        suite_digest=plain.digest,
        attacks={attack.name: parameters(attack) for attack in plain.attacks},
        threat_model=str(threat_model),
        seed=seed,
        engine=engine_of(plain),
        precision=choice.precision,
        precision_reason=choice.reason,
        execution="eager",
        device=kind,
        batch_size=batch_size or default_batch_size(kind),
        code=code_digest(),
        surrogates={name: state_digest(each.state_dict()) for name, each in others.items()},
        fingerprint=digests.fingerprint,
    )
    folder = journal(header) if callable(journal) else journal
    stored = peek(folder) if folder is not None else None
    if stored is not None and batch_size is None:
        header = dataclasses.replace(header, batch_size=stored.header.batch_size)
    if stored is not None and header.precision == MEASURED:
        header = dataclasses.replace(header, precision=stored.header.precision)
    plan = RunPlan(
        module=module,
        # Tensors made in inference mode could not be differentiated through; copies can.
        examples=examples[examples.indices.argsort()].clone(),
        indices=tuple(examples.indices.tolist()),
        threat_model=threat_model,
        suite=suite,
        device=here,
        header=header,
        journal=folder,
        surrogates=others,
    )
    check_attacks(plan.attacks, threat_model)
    return plan


def settled(plan: RunPlan) -> RunPlan:
    """The plan with nothing left open: the model is asked as it needs to be, precision and forms are decided.

    Raises:
        BenchError: if the model cannot be evaluated, or what it declares is not true of it.
    """
    if plan.forms is not None:
        return plan
    with plan.model():
        few = plan.few_inputs.to(plan.device)
        module = adapted(plan.module, few)
        surrogates = {name: adapted(each, few) for name, each in plan.surrogates.items()}
    asked = dataclasses.replace(plan, module=module, surrogates=surrogates)
    with asked.model():
        inputs = plan.examples[:CHUNK_SIZE].inputs.to(plan.device)
        check_model(module, inputs, asked.attacks)
        check_gradients(surrogates, inputs)
        if plan.suite.structures:
            checked_structures(module, inputs, plan.device)
        header = plan.header
        if plan.journal is not None and header.fingerprint is None:
            header = dataclasses.replace(header, fingerprint=take_fingerprint(module, inputs))
        made = FastForms(module, inputs)
        if header.precision in (AUTO, MEASURED):
            choice = choose_precision(header.precision, made, inputs, computed_on=header.device)
            header = dataclasses.replace(header, precision=choice.precision, precision_reason=choice.reason)
        forms = Forms.chosen(
            made, engine=header.engine, precision=header.precision, surrogates=tuple(surrogates.values())
        )
    return dataclasses.replace(asked, header=header, forms=forms)


def settled_by_journal(plan: RunPlan) -> RunPlan:
    """The plan with what was left open as its journal has it, which is finished: the model is not asked."""
    stored = peek(plan.journal) if plan.journal is not None else None
    if stored is None:
        return plan
    there, header = stored.header, plan.header
    if header.precision in (AUTO, MEASURED):
        header = dataclasses.replace(header, precision=there.precision)
    return dataclasses.replace(
        plan, header=dataclasses.replace(header, fingerprint=header.fingerprint or there.fingerprint)
    )


def _named(attack: Any, name: str) -> Attack:
    """The same attack under the name that its number has in the row."""
    named: Attack = dataclasses.replace(attack, name=name)
    return named
