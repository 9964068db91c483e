"""Model, examples, threat model and suite in; verdicts out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import platform
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench import suites
from bench.attacks import parameters
from bench.core.errors import BenchError
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.adaptive import ByStructure
from bench.evaluation.cost.costs import IN_PASSES, Costs
from bench.evaluation.cost.forecast import Forecast
from bench.evaluation.evaluation import AttackOutcome, Evaluation
from bench.evaluation.execution.assignment import Given
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.executor import Executor
from bench.evaluation.execution.in_process import InProcess
from bench.evaluation.fingerprint import fingerprint
from bench.evaluation.forms import Forms
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.journal.header import Header, Identity, identify, make_header
from bench.evaluation.journal.journal import Journal, open_journal
from bench.evaluation.model_guard import borrowed, device_of
from bench.evaluation.precision import full_float32
from bench.evaluation.progress import ProgressCallback, Tracker
from bench.evaluation.runner import Runner
from bench.evaluation.sanity import check_examples, check_model, check_suite
from bench.evaluation.schedule import Course, Found
from bench.evaluation.search_precision import AUTO, FLOAT32, MEASURED, Choice, choose_precision, settled_precision
from bench.models.adapting import adapted
from bench.storage.place import Place, place
from bench.suites import AttackSuite

__all__ = ["evaluate", "plan"]

_BATCH_SIZES = {"cpu": CHUNK_SIZE}
_BATCH_SIZE_ON_ACCELERATOR = 8 * CHUNK_SIZE

_HANDSHAKE = 8
"""Examples on which a worker shows that it has the driver's model."""

_T = TypeVar("_T")


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
    identity: Identity | None = None,
    executor: Executor | None = None,
) -> Evaluation:
    """Attack a model and say which examples withstand it.

    The model is handed back as it was: mode, gradients, device, memory format, random state.

    Args:
        module: inputs `(N, C, H, W)` in [0, 1] to logits `(N, num_classes)`; deterministic in eval mode.
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

    Raises:
        BenchError: if examples, model, suite and journal do not fit each other.
        WorkFailedError: if an attack fails twice, or the disk is full; the journal keeps what was finished.
    """
    suite = suites.get(suite) if isinstance(suite, str) else suite
    threat_model = ThreatModel.parse(threat_model) if isinstance(threat_model, str) else threat_model
    target = torch.device(device) if device is not None else device_of(module)
    kept = place(journal) if journal is not None else None
    check_examples(examples)
    asked = _asked_as_it_needs(module, examples, target)
    if suite.rules:
        return ByStructure(
            evaluate=functools.partial(
                evaluate,
                threat_model=threat_model,
                seed=seed,
                device=target,
                batch_size=batch_size,
                costs=costs,
            ),
            executor=executor,
            precision=precision,
            module=asked,
            examples=examples,
            threat_model=threat_model,
            suite=suite,
            seed=seed,
            device=target,
            journal=kept,
            progress=progress,
            identity=identity,
        ).run()
    header = plan(
        module,
        examples,
        threat_model=threat_model,
        suite=suite,
        seed=seed,
        device=executor.device if executor is not None else device,
        batch_size=batch_size,
        precision=precision,
        identity=identity,
    )
    order = examples.indices.argsort()
    with contextlib.ExitStack() as stack:
        module = stack.enter_context(borrowed(asked, target))
        stack.enter_context(full_float32())
        # Tensors made in inference mode could not be differentiated through; copies can.
        ordered = examples[order].clone()
        probe = ordered[:CHUNK_SIZE].inputs.to(target)
        check_model(module, probe, suite.attacks)
        if kept is not None and header.fingerprint is None:
            header = dataclasses.replace(header, fingerprint=fingerprint(module, probe))
        header = _decided(header, precision, module, probe)
        book, header = _open(stack, kept, header, _left_open(header, batch_size, module, probe))
        computer = Computer(
            module=module,
            forms=Forms.of(module, probe, engine=header.engine, precision=header.precision),
            threat_model=threat_model,
            seed=seed,
            device=target,
            batch_size=header.batch_size,
        )
        given = Given(module=module, header=header, threat_model=threat_model, probe=probe[:_HANDSHAKE])
        lane = stack.enter_context(executor.lane(given, computer)) if executor else InProcess(computer)
        runner = Runner(
            computer=computer,
            lane=lane,
            examples=ordered,
            device=target,
            batch_size=header.batch_size,
            journal=book,
        )
        indices = ordered.indices.tolist()
        forecast = Forecast(suite.attacks, indices, costs or IN_PASSES, batch_size=header.batch_size)
        n_workers = executor.n_workers if executor else 1
        tracker = Tracker(progress, forecast, n_examples=len(indices), n_workers=n_workers)
        found = Course(runner, suite.attacks, tracker, indices=indices, seed=seed).run()
    back = order.argsort().tolist()
    return Evaluation(
        header=header,
        threat_model=threat_model,
        device=_device_name(target),
        indices=tuple(examples.indices.tolist()),
        clean=_pick(found.clean.robust, back),
        clean_margin=_pick(found.clean.margin, back),
        attacks=tuple(_outcome(attack, found, back) for attack in suite.attacks),
        finite=_pick(_all_finite(found), back),
        batch_size=min(verdicts.batch_size for verdicts in [found.clean, *found.stages.values()]),
        breaks=runner.breaks,
        audit=found.audit,
    )


def plan(
    module: nn.Module,
    examples: Examples,
    *,
    threat_model: ThreatModel,
    suite: AttackSuite,
    seed: int = 0,
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    precision: str = AUTO,
    identity: Identity | None = None,
) -> Header:
    """Return the header of the run that `evaluate` would do with these arguments; nothing runs yet.

    Its precision is "auto" where a rule will say, and "measured" where the journal or a stopwatch will. The header for
    an adaptive suite is that for the suite which it extends, so that each finds the other's journal.

    Raises:
        BenchError: if examples or suite cannot be evaluated, or the suite not in that precision.
        ValueError: if `batch_size` is below 1.
    """
    check_examples(examples)
    check_suite(suite, threat_model)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected `batch_size` to be at least 1, but got {batch_size}.")
    kind = torch.device(device).type if device is not None else device_of(module).type
    return make_header(
        identity=identity or identify(module, examples),
        threat_model=threat_model,
        suite=suite.plain,
        seed=seed,
        precision=settled_precision(precision, suite),
        device=kind,
        batch_size=batch_size or _BATCH_SIZES.get(kind, _BATCH_SIZE_ON_ACCELERATOR),
    )


def _asked_as_it_needs(module: nn.Module, examples: Examples, target: torch.device) -> nn.Module:
    """The model, or the model adapted; handed back as it was."""
    with borrowed(module, target), full_float32():
        return adapted(module, examples[:_HANDSHAKE].inputs.to(target).clone())


def _outcome(attack: Attack, found: Found, back: Sequence[int]) -> AttackOutcome:
    columns = [found.stages[attack.name, position] for position in range(len(attack.stages))]
    best = [min(margins) for margins in zip(*(column.margin for column in columns), strict=True)]
    margin = [
        tried if correct else untried
        for correct, tried, untried in zip(found.clean.robust, best, found.clean.margin, strict=True)
    ]
    return AttackOutcome(
        name=attack.name,
        parameters=parameters(attack),
        margin=_pick(margin, back),
        stages=tuple(column.pick(back) for column in columns),
    )


def _all_finite(found: Found) -> list[bool]:
    columns = [found.clean.finite, *(verdicts.finite for verdicts in found.stages.values())]
    return [all(verdicts) for verdicts in zip(*columns, strict=True)]


def _pick(values: Sequence[_T], order: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[position] for position in order)


def _decided(header: Header, asked: str, module: nn.Module, inputs: Tensor) -> Header:
    """The header with its precision, unless a stopwatch is to say it, and with what decides that."""
    if header.precision == MEASURED:
        return dataclasses.replace(header, precision_reason=MEASURED)
    if header.precision == AUTO and inputs.device.type != header.device:
        choice = Choice(FLOAT32, f"rule: workers on {header.device}, which is not here to look at")
    elif header.precision != asked:
        choice = Choice(header.precision, "rule: no attack of the suite searches in less")
    else:
        choice = choose_precision(header.precision, module, inputs)
    return dataclasses.replace(header, precision=choice.precision, precision_reason=choice.reason)


def _left_open(
    header: Header, batch_size: int | None, module: nn.Module, inputs: Tensor
) -> dict[str, Callable[[], object]]:
    """The fields of a header that a journal may decide, each with what decides it where there is none."""
    decide: dict[str, Callable[[], object]] = {}
    if batch_size is None:
        decide["batch_size"] = lambda: header.batch_size
    if header.precision == MEASURED:
        decide["precision"] = lambda: _measured(module, inputs, header.device)
    return decide


def _open(
    stack: contextlib.ExitStack, folder: Place | None, header: Header, left_open: dict[str, Callable[[], object]]
) -> tuple[Journal | None, Header]:
    if folder is None:
        return None, dataclasses.replace(header, **{name: decide() for name, decide in left_open.items()})  # type: ignore[arg-type]
    book = stack.enter_context(open_journal(folder, header, left_open=left_open))
    return book, book.header


def _measured(module: nn.Module, inputs: Tensor, kind: str) -> str:
    if inputs.device.type != kind:
        raise BenchError(f"Workers compute on {kind}, which is not here to be measured: choose --precision auto.")
    return choose_precision(MEASURED, module, inputs).precision


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()}"
