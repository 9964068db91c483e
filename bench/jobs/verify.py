"""Verify a row from what lies beside it: forward passes of the shipped weights, and no search."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bench import data, models, suites
from bench.core.errors import BenchError, OtherFileError
from bench.core.structure import is_stochastic, structures_of
from bench.core.types import ThreatModel
from bench.data import Dataset, Preprocessing
from bench.evaluation import Advance, Judge
from bench.jobs.lookup import Lookup
from bench.jobs.replay import (
    MOST_PROOFS,
    Marginal,
    count_again,
    replay_breaks,
    replay_certificate,
    replay_clean,
)
from bench.jobs.request import ROBUSTBENCH, fingerprinted, load_data, pick_device
from bench.jobs.row_files import check_file, check_suite, read_row
from bench.leaderboard.store import EvidenceKind
from bench.models import LoadedModel
from bench.row import FINGERPRINT_TOLERANCE, CheckResult, Level, Record, fingerprint_distance, parse_indices
from bench.storage import Place

__all__ = [
    "Opened",
    "Verification",
    "check_data",
    "dataset_name",
    "load_data_of",
    "model_name",
    "open_row",
    "prepared_as",
    "verify",
]


class Opened(NamedTuple):
    """A row with its data and its model; a check for each says whether they are the row's."""

    record: Record
    dataset: Dataset
    model: LoadedModel | None
    checks: tuple[CheckResult, ...]

    @property
    def usable(self) -> bool:
        """Whether the model can be asked: data, weights and function are the row's."""
        return self.model is not None and all(check.level is not Level.FAIL for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found.

    Args:
        path: where the row lies.
        record: the row; None where it contradicts itself so that it cannot be used.
        checks: in the order of their making, of "row", "suite", "data", "weights", "fingerprint", "evidence", "clean",
            "breaks", "counts", "external" and, where something is certified, "certificate".
        n_robust: correct examples without a confirmed break of the row's suite; None where nothing could be judged.
        headline: the same without those that others broke.
        marginal: verdicts that rounding may turn.
        seconds: that it took.
    """

    path: Place
    record: Record | None
    checks: tuple[CheckResult, ...]
    n_robust: int | None
    headline: int | None
    marginal: tuple[Marginal, ...]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether something that the row says does not hold."""
        return any(check.level is Level.FAIL for check in self.checks)


def verify(
    path: Place,
    lookup: Lookup,
    *,
    begin: Callable[[int], None] = lambda total: None,
    advance: Advance = lambda count: None,
) -> Verification:
    """Verify the row that lies in `path`.

    Args:
        path: of the row.
        lookup: where model and data are found.
        begin: called once with the number of inputs that will be classified, or proved again.
        advance: called after each batch with its number of inputs.

    Raises:
        BenchError: if the row cannot be read, or its model or data is not at hand.
    """
    start = time.perf_counter()
    record, first = read_row(path)
    found = _Found((), None, None, ())
    if record is not None:
        found = _verify(path, record, lookup, begin, advance)
    return Verification(
        path=path,
        record=record,
        checks=(first, *found.checks),
        n_robust=found.n_robust,
        headline=found.headline,
        marginal=found.marginal,
        seconds=time.perf_counter() - start,
    )


class _Found(NamedTuple):
    """As in `Verification`."""

    checks: tuple[CheckResult, ...]
    n_robust: int | None
    headline: int | None
    marginal: tuple[Marginal, ...]


def _verify(path: Place, record: Record, lookup: Lookup, begin: Callable[[int], None], advance: Advance) -> _Found:
    opened = open_row(record, lookup)
    breaks, own_file = check_file(path, record, EvidenceKind.OWN, opened.dataset.shape)
    external, external_file = check_file(path, record, EvidenceKind.EXTERNAL, opened.dataset.shape)
    structures = structures_of(opened.model.module) if opened.model is not None else None
    checks = [check_suite(path, record, structures), *opened.checks, own_file]
    if record.external_breaks or record.external_evidence:
        checks.append(external_file)
    if not opened.usable or opened.model is None:
        says = "the model was not asked, since data, weights or function are not the row's"
        return _Found((*checks, CheckResult(what="breaks", level=Level.NOT_APPLICABLE, evidence=says)), None, None, ())
    n_proofs = min(record.certificate.n_proved, MOST_PROOFS) if record.certificate is not None else 0
    begin(record.result.n_examples + len(breaks or ()) + len(external or ()) + n_proofs)
    threat_model = ThreatModel.parse(record.threat_model)
    judge = Judge(
        opened.model.module,
        threat_model,
        device=pick_device(lookup.device),
        seed=record.result.seed,
        advance=advance,
    )
    clean = replay_clean(record, opened.dataset, judge)
    own = replay_breaks(breaks, opened.dataset, judge, name="breaks") if breaks else None
    others = replay_breaks(external, opened.dataset, judge, name="external") if external else None
    replayed = [each for each in (clean, own, others) if each is not None]
    checks += [each.check for each in replayed]
    if record.certificate is not None:
        device = pick_device(lookup.device)
        checks.append(replay_certificate(record, opened.dataset, opened.model.module, device=device, advance=advance))
    marginal = tuple(each for part in replayed for each in part.marginal)
    if own_file.level is Level.NOT_APPLICABLE:
        return _Found(tuple(checks), None, None, marginal)
    n_robust, counts = count_again(record, clean, own)
    left_out = record.result.broken() - record.result.shown()
    broken = left_out.union(*(each.confirmed for each in (own, others) if each is not None))
    return _Found((*checks, counts), n_robust, len(clean.confirmed - broken), marginal)


def open_row(record: Record, lookup: Lookup) -> Opened:
    """Load what a row names and hold it against the row's digests.

    Raises:
        BenchError: if the model or the data is not at hand.
    """
    dataset = load_data_of(record, lookup)
    if dataset.notice is not None:
        raise BenchError(f"The row needs the data {record.dataset}, but here is only a sample: {dataset.notice}")
    checks = [check_data(record, dataset)]
    try:
        model = models.load(
            model_name(record, lookup),
            dataset=dataset,
            weights=lookup.weights,
            weights_key=lookup.weights_key,
            threat_model=ThreatModel.parse(record.threat_model),
            device=pick_device(lookup.device),
            check=False,
            stochastic=suites.for_stochastic(record.suite),
        )
    except OtherFileError as error:
        checks.append(CheckResult(what="weights", level=Level.FAIL, evidence=str(error)))
        return Opened(record, dataset, None, tuple(checks))
    checks.append(_check_weights(record, model))
    if checks[-1].level is not Level.FAIL:
        model = fingerprinted(model, dataset, pick_device(lookup.device))
        checks.append(_check_fingerprint(record, model))
    return Opened(record, dataset, model, tuple(checks))


def load_data_of(record: Record, lookup: Lookup) -> Dataset:
    """Load the data that a row is about, with the pixels that its model takes.

    Raises:
        BenchError: if it is not at hand.
    """
    return load_data(
        dataset_name(record, lookup),
        models=[_named(record, lookup)],
        data_dir=lookup.data_dir,
        class_names=lookup.class_names,
        threat_model=ThreatModel.parse(record.threat_model),
        prepare=prepared_as(record, lookup),
    )


def prepared_as(record: Record, lookup: Lookup) -> Preprocessing | None:
    """How the row's run made pixels of a user's own images; None where that is the data's or the model's matter."""
    if record.preprocessing is None or not (lookup.dataset or "").startswith(data.FOLDER):
        return None
    return Preprocessing.parse(record.preprocessing)


def dataset_name(record: Record, lookup: Lookup) -> str:
    """What the row's data is called where it is looked for.

    Raises:
        BenchError: if it is somebody's own, and the user does not say where it is.
    """
    if lookup.dataset is not None:
        return lookup.dataset
    if record.dataset not in data.names():
        raise BenchError(
            f"The row was made on data of somebody's own, {record.dataset!r:.60}."
            " Say where it is: --dataset FILE.npz or --dataset folder:PATH."
        )
    return record.dataset


def _named(record: Record, lookup: Lookup) -> str:
    """What the model is called, whether or not it can be found by that."""
    if lookup.model is not None:
        return lookup.model
    if record.model.startswith(ROBUSTBENCH):
        return f"robustbench:{record.model.removeprefix(ROBUSTBENCH)}"
    return record.model


def model_name(record: Record, lookup: Lookup) -> str:
    """What the row's model is called where it is looked for.

    Raises:
        BenchError: if it is somebody's own, and the user does not say where it is.
    """
    name = _named(record, lookup)
    if lookup.model is not None or name in models.names() or name != record.model:
        return name
    title = f" (its card says {record.card.title!r:.80})" if record.card is not None else ""
    raise BenchError(
        f"The row is about a model of somebody's own, {record.model!r:.60}. Say where it is{title}: --model"
        " FILE.py:FACTORY or as in its run, with --weights FILE if it had them."
    )


def check_data(record: Record, dataset: Dataset) -> CheckResult:
    """Whether it is the row's data."""
    last = max(parse_indices(record.result.indices))
    if dataset.digest != record.digests.dataset:
        says = f"{dataset.name} has digest {dataset.digest[:12]}, but the row says {record.digests.dataset[:12]}"
        return CheckResult(what="data", level=Level.FAIL, evidence=says)
    if last >= len(dataset):
        says = f"the row is about example {last}, but {dataset.name} has {len(dataset)}"
        return CheckResult(what="data", level=Level.FAIL, evidence=says)
    return CheckResult(what="data", level=Level.PASS, evidence=f"{dataset.name} is the data of the row")


def _check_weights(record: Record, model: LoadedModel) -> CheckResult:
    if model.digest != record.digests.model:
        says = f"{model.name} has weights {model.digest[:12]}, but the row is about {record.digests.model[:12]}"
        return CheckResult(what="weights", level=Level.FAIL, evidence=says)
    if model.factory_digest != record.digests.factory:
        says = "the weights are the row's, but the source around them has changed since; the present one was asked"
        return CheckResult(what="weights", level=Level.WARN, evidence=says)
    return CheckResult(what="weights", level=Level.PASS, evidence=f"{model.name} has the weights of the row")


def _check_fingerprint(record: Record, model: LoadedModel) -> CheckResult:
    """Whether it is the row's function; its source may have changed."""
    apart = fingerprint_distance(record.fingerprint, model.fingerprint)
    if apart is None:
        says = "the row has no fingerprint: that the model computes what it did then shows in the verdicts alone"
        return CheckResult(what="fingerprint", level=Level.NOT_APPLICABLE, evidence=says)
    if apart > FINGERPRINT_TOLERANCE:
        says = f"{model.name} is another function: logits on fixed inputs differ by {apart:.2g} of the largest"
        if is_stochastic(model.module):
            says += f", or its draws are those of another kind of device than the row's, {record.cost.device}"
        return CheckResult(what="fingerprint", level=Level.FAIL, evidence=says)
    return CheckResult(
        what="fingerprint", level=Level.PASS, evidence=f"{model.name} answers fixed inputs as the row's model did"
    )
