"""Hold a harness to what is known: what a suite says of each model of the set, what is true, and whether it doubts.

A number is too high by at least three examples and more than two points: less is a matter of an attack's strength,
which the table shows, and not of its honesty. It is wrong where it calls more broken than can be broken, or counts
other examples correct. A wrong number of which no check of the short doctor warns is a lie that nobody would have
noticed; a failed check of an honest model is a false alarm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from pyautoattack import AutoAttack

from bench import suites
from bench.core.errors import BenchError, UnknownNameError
from bench.core.plain_text import reason_of
from bench.core.types import Examples, ThreatModel
from bench.diagnostics import HONEST, SHORT_EXAMPLES, diagnose_briefly, from_evaluation, merged
from bench.evaluation import default_batch_size, evaluate, guarded
from bench.jobs.known_answers import PUBLISHED, KnownAnswer, Model, Truth, known_answers
from bench.jobs.request import pick_device
from bench.row import Level

__all__ = ["SAMPLES", "SUITE", "Case", "ConformanceProgress", "Held", "Request", "Said", "conformance"]

SUITE, SAMPLES = "quick-v1", 64
_FEWEST, _SHARE = 3, 0.02
_REFERENCE_BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to hold to what.

    Args:
        suite: whose numbers are looked at.
        only: names or kinds of models; empty for all.
        samples: examples of each; what was published is of all of its own.
        known_answers: the folder of what others published, or None.
        data_dir: where CIFAR-10 is looked up first, or None.
        reference: ask AutoAttack's authors' package too.
        seed: of all draws.
        device: torch device; None for a GPU where there is one.
    """

    suite: str = SUITE
    only: tuple[str, ...] = ()
    samples: int = SAMPLES
    known_answers: Path | None = None
    data_dir: Path | None = None
    reference: bool = False
    seed: int = 0
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a harness says of a model.

    Args:
        clean: examples that it counts as correct; None where it refuses the model.
        robust: of these, those that withstood; likewise.
        doubts: what it warns of, the ids of checks or words.
        failed: which of these are more than a warning.
        refused: why it gives no number; empty where it does.
    """

    clean: int | None = None
    robust: int | None = None
    doubts: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A harness's word against the truth."""

    said: Said
    verdict: str
    """"true", "too high", "wrong" or "refused"."""

    @property
    def lied(self) -> bool:
        """Whether somebody who believes the number is misled, and nothing warned him."""
        return self.verdict in ("too high", "wrong") and not self.said.doubts


@dataclass(frozen=True, kw_only=True)
class Case:
    """What came out for one model.

    Args:
        name: the model's.
        kind: its kind.
        threat_model: what the attacker may do.
        n_examples: that it was scored on.
        truth: what is known of it.
        suite: what the suite says with the short doctor.
        reference: what AutoAttack's authors' package says with its own flags; None where it was not asked.
        seconds: that all took.
    """

    name: str
    kind: str
    threat_model: str
    n_examples: int
    truth: Truth
    suite: Held
    reference: Held | None
    seconds: float

    @property
    def false_alarm(self) -> bool:
        """Whether a check fails a model that has no fault, and of which the number is true."""
        return self.kind == HONEST and self.suite.verdict == "true" and bool(self.suite.said.failed)


@dataclass(frozen=True, kw_only=True)
class ConformanceProgress:
    """Told before the first model and after each.

    Args:
        task: the model that is next; empty after the last.
        n_done: models done.
        n_tasks: models in all.
        seconds: since the start.
        eta: seconds left, as if every model took as long; None before one is done.
        case: what came out for the last one; None before the first.
    """

    task: str
    n_done: int
    n_tasks: int
    seconds: float
    eta: float | None
    case: Case | None


def conformance(
    request: Request, *, on_progress: Callable[[ConformanceProgress], None] = lambda event: None
) -> tuple[Case, ...]:
    """Hold a suite, and AutoAttack's authors' package if asked, to every model of the set.

    Args:
        request: what is held to what.
        on_progress: called before the first model and after each.

    Raises:
        BenchError: if a name, a file or a value is wrong, before anything runs.
    """
    device = pick_device(request.device)
    suites.get(request.suite)
    if request.samples < 1:
        raise BenchError(f"Expected at least 1 sample, but got {request.samples}.")
    chosen = _chosen(request)
    start = time.perf_counter()
    cases: list[Case] = []
    for number in range(len(chosen) + 1):
        passed = time.perf_counter() - start
        event = ConformanceProgress(
            task=chosen[number].name if number < len(chosen) else "",
            n_done=number,
            n_tasks=len(chosen),
            seconds=passed,
            eta=passed / number * (len(chosen) - number) if number else None,
            case=cases[-1] if cases else None,
        )
        on_progress(event)
        if number < len(chosen):
            cases.append(_held(chosen[number], request, device))
    return tuple(cases)


def _chosen(request: Request) -> tuple[KnownAnswer, ...]:
    known = known_answers(samples=request.samples, folder=request.known_answers, data_dir=request.data_dir)
    names = {each.name for each in known} | {each.kind for each in known}
    for name in request.only:
        if name == PUBLISHED and request.known_answers is None:
            raise BenchError("What others published lies in a folder of yours: name it with --known-answers FOLDER.")
        if name not in names:
            raise UnknownNameError("model or kind", name, names)
    return tuple(each for each in known if not request.only or {each.name, each.kind} & set(request.only))


def _held(answer: KnownAnswer, request: Request, device: torch.device) -> Case:
    start = time.perf_counter()
    model = answer.build()
    said = _asked(model, answer.threat_model, request, device)
    reference = _by_reference(model, answer.threat_model, request, device) if request.reference else None
    truth, n_examples = model.truth(), len(model.examples)
    return Case(
        name=answer.name,
        kind=answer.kind,
        threat_model=str(answer.threat_model),
        n_examples=n_examples,
        truth=truth,
        suite=Held(said=said, verdict=_verdict(said, truth, n_examples)),
        reference=Held(said=reference, verdict=_verdict(reference, truth, n_examples)) if reference else None,
        seconds=time.perf_counter() - start,
    )


def _verdict(said: Said, truth: Truth, n_examples: int) -> str:
    if said.clean is None or said.robust is None:
        return "refused"
    excess = said.robust - truth.most
    if excess >= _FEWEST and excess > _SHARE * n_examples:
        return "too high"
    return "wrong" if said.clean != truth.clean or said.robust < truth.least else "true"


def _asked(model: Model, threat_model: ThreatModel, request: Request, device: torch.device) -> Said:
    """What `bench run` says: the suite's number, and which checks of the short doctor do not pass."""
    try:
        found = evaluate(
            model.module,
            _copy(model.examples),
            threat_model=threat_model,
            suite=request.suite,
            seed=request.seed,
            device=device,
        )
        looked = diagnose_briefly(
            model.module,
            _copy(model.examples[:SHORT_EXAMPLES]),
            threat_model=threat_model,
            num_classes=model.num_classes,
            seed=request.seed,
            surrogates=model.surrogates,
            batch_size=min(default_batch_size(device), len(model.examples)),
            robust=found.robust[:SHORT_EXAMPLES],
            device=device,
        )
    except BenchError as error:
        return Said(refused=str(error))
    checks = merged(looked, from_evaluation(found, claim=None, num_classes=model.num_classes))
    doubted = (Level.WARN.value, Level.FAIL.value)
    return Said(
        clean=found.n_clean,
        robust=found.n_robust,
        doubts=tuple(check.id for check in checks if check.status in doubted),
        failed=tuple(check.id for check in checks if check.failed),
    )


def _by_reference(model: Model, threat_model: ThreatModel, request: Request, device: torch.device) -> Said:
    """What the standard AutoAttack of its authors' package says, and what it warns of."""
    examples = _copy(model.examples).to(device)
    log = _Warnings()
    logger = logging.getLogger("auto-attack")
    logger.addHandler(log)
    try:
        with guarded(model.module, device):
            attack = AutoAttack(
                model.module,
                norm=str(threat_model.norm),
                eps=float(threat_model.epsilon),
                seed=request.seed,
                device=device,
            )
            moved, _ = attack.run_standard_evaluation(examples.inputs, examples.labels, batch_size=_REFERENCE_BATCH)
            clean = _right(model, examples.inputs, examples)
            robust = clean & _right(model, moved, examples)
    except Exception as error:  # noqa: BLE001 - another's code: that it fails is what it says of the model
        return Said(doubts=log.words, refused=reason_of(error))
    finally:
        logger.removeHandler(log)
    return Said(clean=int(clean.sum()), robust=int(robust.sum()), doubts=log.words, failed=log.words)


def _right(model: Model, points: torch.Tensor, examples: Examples) -> torch.Tensor:
    with torch.no_grad():
        answers = [model.module(part.clone()).argmax(1) for part in torch.split(points, _REFERENCE_BATCH)]
    return torch.cat(answers) == examples.labels


class _Warnings(logging.Handler):
    """What the package warns of, each once and in a word."""

    _WORDS: ClassVar[dict[str, str]] = {
        "randomized": "randomized",
        "probability": "probabilities",
        "zero gradient": "zero gradient",
        "Square Attack": "Square",
        "dynamic": "dynamic",
    }

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the word."""
        said = record.getMessage()
        self._seen.update(dict.fromkeys(word for part, word in self._WORDS.items() if part in said))

    @property
    def words(self) -> tuple[str, ...]:
        """In the order of their first mention."""
        return tuple(self._seen)


def _copy(examples: Examples) -> Examples:
    """Some of the models change what they are given."""
    return replace(examples, inputs=examples.inputs.clone())
