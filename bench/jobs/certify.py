"""Prove of as many examples as time allows that no allowed input breaks them, and lay it beside the model's rows."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench import certification, data, leaderboard, models
from bench.core import digest
from bench.core.errors import FoundSomethingError
from bench.core.plain_text import counted
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset, Preprocessing
from bench.evaluation import full_float32, guarded
from bench.jobs.request import SAMPLES_ON_CPU, check_name, fingerprinted, load_data, pick_device, row_name
from bench.models import LoadedModel
from bench.row import (
    Certificate,
    Record,
    format_indices,
    listed_indices,
    pack_verdicts,
    parse_indices,
    same_function,
)
from bench.storage import Place

__all__ = ["Certified", "CertifyRequest", "certify", "code_digest"]


@dataclass(frozen=True, kw_only=True)
class CertifyRequest:
    """What to certify, by name.

    Args:
        model: in any form of `bench.models.sources`.
        dataset: a dataset, `file.npz` or `folder:PATH`.
        leaderboard: folder of the rows that the certificate is laid beside, or its URL.
        weights: a weights file for the model, or None.
        weights_key: where in that file, a dotted path; None for anywhere.
        name: what its rows call the model; None for what `bench run` calls it.
        data_dir: where data is looked up first, or None.
        class_names: a file with the model's classes, of which the user's own data may have some, or None.
        preprocessing: from the images of a folder to pixels, or None for what the model asks for.
        threat_model: such as "Linf:8/255"; None for the dataset's default.
        samples: the first so many examples; None with `indices`, or for those of the longest row.
        indices: a range `A:B` of examples, or None.
        budget: seconds, above 0, after which no further example is begun; None for no limit.
        device: torch device; None for a GPU where there is one.
        no_row: leave the leaderboard alone.
    """

    model: str
    dataset: str
    leaderboard: Place
    weights: Path | None = None
    weights_key: str | None = None
    name: str | None = None
    data_dir: Path | None = None
    class_names: Path | None = None
    preprocessing: Preprocessing | None = None
    threat_model: str | None = None
    samples: int | None = None
    indices: str | None = None
    budget: float | None = None
    device: str | None = None
    no_row: bool = False


@dataclass(frozen=True, kw_only=True)
class Certified:
    """What was proved.

    Args:
        model: what rows call it.
        dataset: what it was asked on.
        threat_model: what the attacker may do.
        certificate: of the examples that were tried.
        n_asked: how many could have been, with more time.
        n_clean: of those tried, how many are classified correctly.
        by: how many were proved by intervals, and how many by CROWN.
        seconds: that it took.
        rows: where it was stored, each with the row as it is now.
    """

    model: str
    dataset: str
    threat_model: str
    certificate: Certificate
    n_asked: int
    n_clean: int
    by: dict[str, int]
    seconds: float
    rows: tuple[tuple[Place, Record], ...]

    @property
    def n_tried(self) -> int:
        """How many examples were tried."""
        return len(parse_indices(self.certificate.indices))


def certify(
    request: CertifyRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    begin: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda count: None,
) -> Certified:
    """Bound the margins of a model's examples from below.

    Args:
        request: what to certify.
        notify: called with each thing that the user should know, one line.
        begin: called once with the number of examples.
        advance: called after each.

    Raises:
        BenchError: if something in the request does not exist, or the model has a layer that cannot be bounded.
        FoundSomethingError: if an example is proved that a row has a break of; nothing is stored then.
        WorkFailedError: if another writer holds the board for too long.
    """
    if request.name is not None:
        check_name(request.name)
    asked = ThreatModel.parse(request.threat_model) if request.threat_model is not None else None
    device = pick_device(request.device)
    dataset = load_data(
        request.dataset,
        models=[request.model],
        data_dir=request.data_dir,
        class_names=request.class_names,
        prepare=request.preprocessing,
        threat_model=asked,
        notify=notify,
    )
    threat_model = asked or models.default_threat_model([request.model], dataset)
    model = models.load(
        request.model,
        weights=request.weights,
        weights_key=request.weights_key,
        dataset=dataset,
        threat_model=threat_model,
        device=device,
    )
    model = fingerprinted(model, dataset, device)
    name = request.name or row_name(model, request.weights)
    is_about = functools.partial(_is_about, name=name, model=model, dataset=dataset, threat_model=threat_model)
    certifier = certification.Certifier(model.module, threat_model, name=f"model {name!r}")
    # Whatever their suite.
    rows = [] if request.no_row else [row for row in leaderboard.read_all(request.leaderboard) if is_about(row[1])]
    examples = _examples(request, dataset, [record for _, record in rows])
    begin(len(examples))
    start = time.monotonic()
    tried: list[int] = []
    proved: list[int] = []
    n_clean, by = 0, Counter[str]()
    for position in range(len(examples)):
        if tried and request.budget is not None and time.monotonic() - start > request.budget:
            break
        example = examples[position : position + 1].to(device)
        tried.append(int(example.indices))
        with guarded(model.module, device):
            with full_float32(), torch.no_grad():
                correct = int(model.module(example.inputs).argmax()) == int(example.labels)
            n_clean += correct
            if correct and (found := certifier.margin(example.inputs, int(example.labels))).least > 0:
                proved.append(tried[-1])
                by[found.by] += 1
        advance(1)
    certificate = Certificate(
        method=certification.METHOD,
        code=code_digest(),
        model=model.digest,
        indices=format_indices(tried),
        n_proved=len(proved),
        proved=pack_verdicts([index in set(proved) for index in tried]),
    )
    return Certified(
        model=name,
        dataset=dataset.name,
        threat_model=str(threat_model),
        certificate=certificate,
        n_asked=len(examples),
        n_clean=n_clean,
        by={"intervals": by["intervals"], "CROWN": by["CROWN"]},
        seconds=time.monotonic() - start,
        rows=_stored([path for path, _ in rows], certificate, is_about, notify),
    )


def code_digest() -> str:
    """Digest of the sources that a proof rests on: the bounds, how a network is traced, and norms."""
    return digest.of_packages("acceleration", "certification", "ops")


def _is_about(record: Record, *, name: str, model: LoadedModel, dataset: Dataset, threat_model: ThreatModel) -> bool:
    """Whether a row, of whatever suite, is of this very function on this data."""
    digests = record.digests
    wanted = (name, dataset.name, str(threat_model), model.digest, dataset.digest)
    if (record.model, record.dataset, record.threat_model, digests.model, digests.dataset) != wanted:
        return False
    # The same weights in changed code are another function, of which nothing is proved here.
    same = same_function(record.fingerprint, model.fingerprint)
    return digests.factory == model.factory_digest if same is None else same


def _examples(request: CertifyRequest, dataset: Dataset, rows: list[Record]) -> Examples:
    if request.samples is not None or request.indices is not None:
        return data.select(dataset, samples=request.samples, indices=request.indices)
    if not rows:
        return dataset.examples[:SAMPLES_ON_CPU]
    longest = max((record.result for record in rows), key=lambda result: result.n_examples)
    return dataset.examples[torch.tensor(parse_indices(longest.indices))]


def _stored(
    paths: list[Place],
    certificate: Certificate,
    is_about: Callable[[Record], bool],
    notify: Callable[[str], None],
) -> tuple[tuple[Place, Record], ...]:
    """Lay the certificate beside the rows, each about its own examples, with what was proved of them before."""
    if not paths:
        return ()
    with leaderboard.locked(leaderboard.board_of(paths[0]), notify):
        found = []
        for path in paths:
            record = leaderboard.read(path)
            indices = set(parse_indices(record.result.indices))
            tried = [index for index in parse_indices(certificate.indices) if index in indices]
            if not tried or not is_about(record):  # another row may have come in the meantime
                continue
            own = certificate.of(tried, certificate.proved_indices())
            old = record.certificate
            if old is not None and old.code != own.code and old.n_proved > own.n_proved:
                notify(f"{path}: {counted(old.n_proved, 'proof')} of other code go, {own.n_proved} take their place.")
            record = replace(record, certificate=record.certificate.joined(own) if record.certificate else own)
            if both := record.contradicted():
                raise FoundSomethingError(
                    f"Examples {listed_indices(both)} are certified, and row {path} has breaks of them: either the"
                    " bound or the breaks are wrong. Nothing was stored; `bench verify` judges the breaks again."
                )
            found.append((path, record))
        for path, record in found:
            leaderboard.amend(path, record)
    return tuple(found)
