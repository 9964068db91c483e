"""Attack what a row calls robust once more, by other means than its suite's; what falls lowers its headline.

What is robust by little falls first, so the survivors of smallest margin are tried, a share of them or all. What falls
is stored at once, as breaks of others are: the suite's verdicts, and what they are compared with, stay as they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from bench.acceleration import FastForms
from bench.attacks import ConstraintRelaxation, MarginAscent
from bench.core.errors import BenchError
from bench.core.structure import is_stochastic
from bench.core.types import ThreatModel
from bench.evaluation import Judge, full_float32, guarded
from bench.jobs.contribute import FoundBreaks, refuse_failed, robust_in, sound, store_found, stored_external
from bench.jobs.lookup import Lookup
from bench.jobs.request import pick_device
from bench.jobs.surrogates import load_surrogates
from bench.jobs.verify import Opened, open_row
from bench.row import ExternalBreak, Record, parse_indices, unpack_margins
from bench.row.arrays import Breaks
from bench.storage import Place

__all__ = ["Attacked", "attack", "parse_share"]

_BY = "bench verify --attack"
_RELAXATION = ConstraintRelaxation()


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """What came of it.

    Args:
        path: of the row.
        record: the row as it is now.
        n_survivors: examples that the row called robust.
        tried: official indices of those that were attacked, closest first.
        before: their smallest margins in the row.
        after: the same with what was found here.
        n_tries: attacks on each of them that was not broken.
        kept: what fell, as it was stored.
        how: the try that broke it, by official index.
        seconds: that it took.
        out_of_time: whether the budget ended it before its last try.
    """

    path: Place
    record: Record
    n_survivors: int
    tried: tuple[int, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    n_tries: int
    kept: tuple[ExternalBreak, ...]
    how: dict[int, str]
    seconds: float
    out_of_time: bool


def parse_share(text: str) -> Fraction:
    """Read `5%` or `0.05` as a share above 0 and at most 1.

    >>> parse_share("5%")
    Fraction(1, 20)

    Raises:
        BenchError: if it is none.
    """
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = Fraction(number) / (100 if percent else 1) if len(number) < 12 and "e" not in number.lower() else None
    except (ValueError, ZeroDivisionError):
        share = None
    if share is None or not 0 < share <= 1:
        raise BenchError(f"Expected a share above 0 and at most 100%, such as 5%, but got {text!r:.40}.")
    return share


def attack(
    path: Place,
    lookup: Lookup,
    *,
    closest: Fraction = Fraction(1),
    budget: float | None = None,
    begin: Callable[[str, int], None] = lambda name, total: None,
    advance: Callable[[int], None] = lambda count: None,
    notify: Callable[[str], None] = lambda line: None,
) -> Attacked:
    """Attack the survivors of a row, and store what falls.

    Args:
        path: of the row.
        lookup: where model and data are found, and the device.
        closest: which share of them, by the smallest margin.
        budget: seconds; rounds of tries with other draws go on until they are over. None for one round.
        begin: called before each round with its name and how many attacks on an example it has.
        advance: called after each try with its number of examples.
        notify: called with each break that is stored, and before waiting for another writer, one line.

    Raises:
        FoundSomethingError: if the row, its data, its weights or its external evidence are not what the row says.
        BenchError: if a file cannot be read, or nothing in the row is robust.
        WorkFailedError: if the row was replaced meanwhile, or another writer holds the board for too long.
    """
    start = time.monotonic()
    record = sound(path)
    opened = open_row(record, lookup)
    if opened.model is not None and is_stochastic(opened.model.module):
        raise BenchError(f"Row {path} is of a stochastic model, and these attacks are for deterministic ones.")
    refuse_failed(opened.checks)
    stored_external(path, record, opened.dataset)
    survivors = _by_margin(record)
    if not survivors:
        raise BenchError(f"Row {path} calls no example robust, so there is nothing to attack.")
    tried = survivors[: math.ceil(closest * len(survivors))]
    search = _Search(opened, [index for index, _ in tried], lookup)
    kept: list[ExternalBreak] = []
    how: dict[int, str] = {}

    def keep(breaks: Breaks, name: str) -> None:
        nonlocal record
        how.update(dict.fromkeys(breaks.indices.tolist(), name))
        found = FoundBreaks(breaks=breaks, source=name, by=_BY)
        record, stored = store_found(path, record, [found], opened.dataset, notify=notify)
        kept.extend(stored)
        for index in breaks.indices.tolist():
            notify(f"example {index}: broken by {name}")

    search.run(None if budget is None else start + budget, begin, advance, keep)
    before = tuple(margin for _, margin in tried)
    return Attacked(
        path=path,
        record=record,
        n_survivors=len(survivors),
        tried=tuple(index for index, _ in tried),
        before=before,
        after=tuple(map(min, before, search.margins())),
        n_tries=search.n_tries,
        kept=tuple(kept),
        how=how,
        seconds=time.monotonic() - start,
        out_of_time=search.out_of_time,
    )


def _by_margin(record: Record) -> list[tuple[int, float]]:
    """The examples that neither the suite nor others broke, each with its smallest margin; closest first."""
    result = record.result
    margins = [unpack_margins(each.best_margin, result.n_examples) for each in result.attacks]
    least = (
        dict(zip(parse_indices(result.indices), map(min, zip(*margins, strict=True)), strict=True)) if margins else {}
    )
    return sorted(((index, least.get(index, math.inf)) for index in robust_in(record)), key=lambda each: each[1])


class _Search:
    """The attack on some of a row's examples.

    Args:
        opened: the row with its model.
        indices: of the examples, official, closest first.
        lookup: names the device.
    """

    def __init__(self, opened: Opened, indices: list[int], lookup: Lookup) -> None:
        if opened.model is None:
            raise ValueError("Expected `opened` to have a model, but it has none.")
        self._module, self._device = opened.model.module, pick_device(lookup.device)
        self._threat_model = ThreatModel.parse(opened.record.threat_model)
        self._examples = opened.dataset.examples[torch.tensor(indices)]
        self._others = load_surrogates(opened.model, opened.dataset, self._device)
        self._margins = [math.inf] * len(indices)
        self.n_tries = 0
        self.out_of_time = False

    def run(
        self,
        until: float | None,
        begin: Callable[[str, int], None],
        advance: Callable[[int], None],
        keep: Callable[[Breaks, str], None],
    ) -> None:
        """One round, or as many as there is time for until then by `time.monotonic`; each try's breaks go to `keep`."""
        here = self._examples.to(self._device)
        with guarded(self._module, self._device), full_float32():
            form = FastForms(self._module, here.inputs).exact
            ascent = MarginAscent.on(form, here, self._threat_model, surrogates=self._others)
            first = (None,) if self._threat_model.norm in _RELAXATION.norms else ()
            seed = 0
            while not seed or (until is not None and not self.out_of_time and len(ascent.best.open())):
                tries = (*first, *ascent.tries(seed))
                begin(f"round {seed + 1}", len(here) * len(tries))
                for each in tries:
                    if until is not None and time.monotonic() >= until:
                        self.out_of_time = True
                        break
                    broken = ascent.make(each, seed=seed) if each is not None else self._relaxed(ascent, seed)
                    breaks = self._confirmed(ascent.best.points, broken)
                    if len(breaks):
                        keep(breaks, str(each or _RELAXATION.name))
                    self.n_tries += 1
                    advance(len(here))
                seed += 1
        self._margins = ascent.best.best.margins.tolist()

    def _relaxed(self, ascent: MarginAscent, seed: int) -> Tensor:
        """A round begins with what is cheapest: the positions that it breaks."""
        return ascent.note(_RELAXATION.perturb(ascent.classifier, ascent.examples, self._threat_model, seed=seed))

    def margins(self) -> list[float]:
        """The smallest seen of each example."""
        return self._margins

    def _confirmed(self, points: Tensor, positions: Tensor) -> Breaks:
        """What holds on the model as it is, by more than rounding."""
        order = positions.cpu()[self._examples.indices[positions.cpu()].argsort()]
        judge = Judge(self._module, self._threat_model, device=self._device)
        return judge.confirm(points.cpu()[order], self._examples[order])
