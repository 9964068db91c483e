"""A model and examples in, diagnostics out; the model is handed back as it was."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from bench import suites
from bench.core import digest
from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Attack, Examples, ThreatModel
from bench.diagnostics.deadline import ModelFailedError
from bench.diagnostics.examination import Examined, examine
from bench.diagnostics.queries import BATCH
from bench.diagnostics.registry import quick, select
from bench.diagnostics.subject import Subject
from bench.evaluation import device_of, full_float32, guarded
from bench.models import adapted
from bench.ops.generators import seed_generators
from bench.row import Accuracy, Diagnostic

__all__ = ["SHORT_EXAMPLES", "diagnose", "diagnose_briefly", "short_form", "short_passes"]

SHORT_EXAMPLES = 32
"""Examples that the short form looks at."""
_ATTACKS = "quick-v1"
_FEW = 8
"""Examples on which is found out how the model has to be asked."""


def diagnose(
    module: nn.Module,
    examples: Examples,
    *,
    threat_model: ThreatModel | str,
    num_classes: int,
    seed: int = 0,
    checks: Sequence[str] | None = None,
    attacks: Sequence[Attack] | None = None,
    surrogates: Sequence[nn.Module] = (),
    batch_size: int = BATCH,
    claim: Accuracy | None = None,
    seconds: float | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[Examined], None] | None = None,
) -> tuple[Diagnostic, ...]:
    """Examine a model: every check, or those that are asked for.

    Args:
        module: inputs `(N, C, H, W)` in [0, 1] to logits, or to whatever it returns instead: that is a finding.
        examples: what it is tried on; a hundred or so.
        threat_model: what the attacker may do; text such as "Linf:8/255" will do.
        num_classes: of the dataset.
        seed: of all draws.
        checks: ids such as "R8"; None for all.
        attacks: those whose numbers are to be believed, for R15 to R17; None for those of `quick-v1`.
        surrogates: other models of the same data, for transfer (R13).
        batch_size: how many examples attacks give it at once (R3).
        claim: the clean accuracy that the checkpoint claims (R19).
        seconds: time for all checks; one that runs out says so. None for as long as it takes.
        device: where to compute; by default where the module lies.
        progress: called after every check.

    Raises:
        UnknownNameError: if there is no such check.
        BenchError: if the model cannot be called on these examples.
    """
    place = torch.device(device) if device is not None else device_of(module)
    chosen = select(checks)
    if attacks is None:
        attacks = suites.get(_ATTACKS).attacks
    with guarded(module, place), full_float32():
        seed_generators(seed, "doctor")
        tried = _copied(examples, place)
        subject = Subject(
            module=adapted(module, tried[:_FEW].inputs),
            examples=tried,
            threat_model=_parsed(threat_model),
            num_classes=num_classes,
            seed=seed,
            attacks=tuple(attacks),
            surrogates=tuple(surrogates),
            batch_size=batch_size,
            claim=claim,
        )
        _call_once(subject)
        return examine(subject, chosen, seconds=seconds, listener=progress)


def diagnose_briefly(
    module: nn.Module,
    examples: Examples,
    *,
    threat_model: ThreatModel | str,
    num_classes: int,
    seed: int = 0,
    surrogates: Sequence[nn.Module] = (),
    batch_size: int = BATCH,
    robust: Sequence[bool] | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[Examined], None] | None = None,
) -> tuple[Diagnostic, ...]:
    """The cheap checks on the first few examples; two runs of it give the same, since no clock is looked at.

    Args:
        module: as in `diagnose`.
        examples: as in `diagnose`; the first `SHORT_EXAMPLES` are looked at.
        threat_model: as in `diagnose`.
        num_classes: as in `diagnose`.
        seed: of all draws.
        surrogates: as in `diagnose`; the first two are asked.
        batch_size: as in `diagnose`.
        robust: which of the examples the attacks of a run left robust; None where there was none.
        device: as in `diagnose`.
        progress: called after every check.

    Raises:
        BenchError: if the model cannot be called on these examples.
    """
    place = torch.device(device) if device is not None else device_of(module)
    with guarded(module, place), full_float32():
        seed_generators(seed, "doctor")
        tried = _copied(examples[:SHORT_EXAMPLES], place)
        subject = Subject(
            module=adapted(module, tried[:_FEW].inputs),
            examples=tried,
            threat_model=_parsed(threat_model),
            num_classes=num_classes,
            seed=seed,
            surrogates=tuple(surrogates),
            batch_size=batch_size,
            robust=torch.tensor(robust[: len(tried)], device=place) if robust is not None else None,
            thorough=False,
        )
        _call_once(subject)
        return examine(subject, quick(), listener=progress)


def short_passes(n_examples: int) -> float:
    """Passes of one example that `diagnose_briefly` takes for so many, roughly; fewer where noise breaks most."""
    return sum(check.short or 0.0 for check in quick()) * min(n_examples, SHORT_EXAMPLES)


def short_form(num_classes: int, surrogates: Sequence[str]) -> str:
    """Digest of what decides the short form's findings beside model, examples, and what the run's journal is of.

    Args:
        num_classes: of the dataset.
        surrogates: names of the other models of the dataset.
    """
    return digest.of_json({"num_classes": num_classes, "surrogates": list(surrogates), "code": _code_digest()})


@functools.cache
def _code_digest() -> str:
    package = Path(__file__).resolve().parent
    return digest.of_sources(
        (*package.glob("*.py"), *(package / "checks").glob("*.py"), package.parent / "core" / "statistics.py")
    )


def _call_once(subject: Subject) -> None:
    try:
        _ = subject.answer
    except ModelFailedError as error:
        raise BenchError(f"The model cannot be called: {error}.") from error
    except torch.OutOfMemoryError as error:
        raise WorkFailedError(f"Not enough memory for {len(subject.first)} examples. Name another --device.") from error


def _copied(examples: Examples, device: torch.device) -> Examples:
    """The examples on the device; copies, since tensors made in inference mode could not be differentiated through."""
    here = examples.to(device)
    return Examples(inputs=here.inputs.clone(), labels=here.labels.clone(), indices=here.indices.clone())


def _parsed(threat_model: ThreatModel | str) -> ThreatModel:
    return ThreatModel.parse(threat_model) if isinstance(threat_model, str) else threat_model
