"""The part of verifying a row that asks the model: clean verdicts, and every stored break, judged again."""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom

import numpy as np
import torch
from torch import Tensor, nn

from bench.certification import Certifier
from bench.core.errors import BenchError
from bench.core.plain_text import counted
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset
from bench.evaluation import Advance, Judge, guarded
from bench.jobs.certify import code_digest
from bench.jobs.evidence import clean_inputs
from bench.row import RANKED_EXAMPLES, Certificate, CheckResult, Level, Record, listed_indices, parse_indices
from bench.row.arrays import Breaks

__all__ = [
    "MOST_PROOFS",
    "Marginal",
    "Replayed",
    "count_again",
    "proofs_to_make_again",
    "replay_breaks",
    "replay_certificate",
    "replay_clean",
]

MOST_PROOFS = 64
"""Of a row that are made again."""
_AT_ONCE = 1024
"""Inputs that are in memory together."""


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """A verdict that float32 rounding alone may turn; it is listed, and counts as the row says.

    Args:
        index: of the example in the official split.
        margin: `z_y - max_{k != y} z_k`, as measured here.
        of: "clean", "break" or "external".
    """

    index: int
    margin: float
    of: str


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What the model said.

    Args:
        check: whether the row's claim holds.
        confirmed: indices for which it does.
        marginal: verdicts that rounding may turn.
    """

    check: CheckResult
    confirmed: frozenset[int]
    marginal: tuple[Marginal, ...]


def replay_clean(record: Record, dataset: Dataset, judge: Judge) -> Replayed:
    """Classify the clean inputs again; a verdict may differ from the row's where rounding decides it."""
    indices = torch.tensor(parse_indices(record.result.indices))
    examples = dataset.examples[indices]
    # Part by part: inputs that lie in files would fill the memory.
    parts = (judge.judge(part.inputs, part) for part in examples.split(_AT_ONCE))
    columns = zip(*((each.robust, each.marginal, each.margin) for each in parts), strict=True)
    robust, close, margins = (torch.cat(column) for column in columns)
    claimed = torch.tensor(record.result.clean_verdicts())
    differs = claimed != robust
    wrong = set(indices[differs & ~close].tolist())
    marginal = _marginal(close, margins, examples, "clean")
    correct = frozenset(indices[torch.where(close, claimed, robust)].tolist())
    if wrong:
        says = f"{len(wrong)} clean verdicts differ from the row's: examples {listed_indices(wrong)}"
        return Replayed(check=_check("clean", Level.FAIL, says), confirmed=correct, marginal=marginal)
    says = f"{record.result.n_clean} of {record.result.n_examples} classified correctly, as the row says"
    return Replayed(check=_check("clean", Level.PASS, says), confirmed=correct, marginal=marginal)


def replay_breaks(breaks: Breaks, dataset: Dataset, judge: Judge, *, name: str) -> Replayed:
    """Judge stored breaks again: in the ball, in the box, misclassified.

    Args:
        breaks: at least one.
        dataset: the split that they belong to.
        judge: the model.
        name: of the check: "breaks" or "external".
    """
    examples = dataset.examples[torch.from_numpy(breaks.indices)]
    seen = []
    for start in range(0, len(breaks), _AT_ONCE):
        part = breaks.pick((np.arange(len(breaks)) // _AT_ONCE) == start // _AT_ONCE)
        points = torch.from_numpy(part.inputs(clean_inputs(part, dataset)))
        seen.append(judge.judge(points, examples[start : start + _AT_ONCE]))
    columns = zip(*((each.robust, each.marginal, each.moved, each.margin) for each in seen), strict=True)
    robust, close, moved, margins = (torch.cat(column) for column in columns)
    mislabelled = torch.from_numpy(breaks.labels) != examples.labels
    holds = (~robust | close) & ~moved & ~mislabelled
    problems = [
        (mislabelled, "has another true class than the data"),
        (moved & ~mislabelled, "is outside the ball or the box"),
        (robust & ~close & ~moved & ~mislabelled, "is classified correctly"),
    ]
    says = "; ".join(f"a break {what}: examples {_indices(which, examples)}" for which, what in problems if which.any())
    level = Level.FAIL if says else Level.PASS
    marginal = _marginal(close & holds, margins, examples, "external" if name == "external" else "break")
    fine = f"{counted(len(breaks), 'break')}, in the ball and the box, and misclassified"
    if marginal:
        fine += f"; {len(marginal)} of them by no more than rounding"
    return Replayed(
        check=_check(name, level, says or fine),
        confirmed=frozenset(examples.indices[holds].tolist()),
        marginal=marginal,
    )


def proofs_to_make_again(certificate: Certificate) -> tuple[int, ...]:
    """Up to 64 of the examples that are called certified, others at every call: who claims them cannot know which."""
    proved = certificate.proved_indices()
    return tuple(sorted(SystemRandom().sample(sorted(proved), min(len(proved), MOST_PROOFS))))


def replay_certificate(
    record: Record, dataset: Dataset, module: nn.Module, *, device: torch.device, advance: Advance
) -> CheckResult:
    """Prove again of some examples that the row calls certified that nothing breaks them."""
    certificate = record.certificate
    if certificate is None or not certificate.n_proved:
        return _check("certificate", Level.NOT_APPLICABLE, "nothing is certified")
    chosen, lost = proofs_to_make_again(certificate), set()
    try:
        certifier = Certifier(module, ThreatModel.parse(record.threat_model), name=f"model {record.model!r}")
        for index in chosen:
            example = dataset.examples[torch.tensor([index])].to(device)
            with guarded(module, device):
                if certifier.margin(example.inputs, int(example.labels)).least <= 0:
                    lost.add(index)
            advance(1)
    except BenchError as error:
        says = f"{counted(certificate.n_proved, 'example')} called certified, but {error}"
        return _check("certificate", Level.FAIL, says)
    if not lost:
        drawn = ", drawn at random" if len(chosen) < certificate.n_proved else ""
        says = f"{len(chosen)} of {counted(certificate.n_proved, 'proof')} made again{drawn}"
        return _check("certificate", Level.PASS, says)
    by = "" if certificate.code == code_digest() else "; other code made it: `bench certify` makes it anew"
    return _check("certificate", Level.FAIL, f"no proof was found again of examples {listed_indices(lost)}{by}")


def count_again(record: Record, clean: Replayed, breaks: Replayed | None) -> tuple[int, CheckResult]:
    """Robust examples by the evidence: correct when clean, and without a confirmed break.

    Breaks that a row on a whole split does not ship are taken from it.
    """
    broken = breaks.confirmed if breaks is not None else frozenset()
    left_out = record.result.broken() - record.result.shown()
    n_robust = len(clean.confirmed - broken - left_out)
    if n_robust == record.result.n_robust:
        says = f"{len(clean.confirmed)} correct less {len(clean.confirmed & broken)} broken"
        if left_out:
            others = f"neither audited nor of the first {RANKED_EXAMPLES:,}"
            says += f" and {len(left_out)} that are {others}, as the row has it,"
        return n_robust, _check("counts", Level.PASS, f"{says} leaves {n_robust} robust")
    unconfirmed = record.result.shown() - broken
    says = f"the evidence leaves {n_robust} robust, but the row says {record.result.n_robust}"
    if unconfirmed:
        says += f"; no break of {listed_indices(unconfirmed)} holds"
    return n_robust, _check("counts", Level.FAIL, says)


def _marginal(which: Tensor, margins: Tensor, examples: Examples, of: str) -> tuple[Marginal, ...]:
    pairs = zip(examples.indices[which].tolist(), margins[which].tolist(), strict=True)
    return tuple(Marginal(index=index, margin=margin, of=of) for index, margin in pairs)


def _indices(which: Tensor, examples: Examples) -> str:
    return listed_indices(set(examples.indices[which].tolist()))


def _check(what: str, level: Level, evidence: str) -> CheckResult:
    return CheckResult(what=what, level=level, evidence=evidence)
