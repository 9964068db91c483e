"""R6: are the logits of a size that the attacks' losses can see?

Where the logits are too large, the cross-entropy and its gradient underflow to 0 in float32 (Carlini and Wagner 2017,
arXiv 1608.04644, section IV); where they differ by less than their rounding, a loss cannot rise; where they are far
smaller than 1, the cross-entropy weighs all classes alike and climbs none of them. So a rescaled cross-entropy is run
beside it: that it breaks more happens on honest models too, so it only warns unless the scale is out of all proportion.
So it is where the largest logit is the same for nearly all images, as clipping and squeezing leave it.
The short form looks at the scale, and at whether eight steps on the margin break what the run's attacks left robust.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from bench.diagnostics.check import Check, by_pairs, by_share
from bench.diagnostics.queries import spread
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

UNDERFLOW = 1e-30
"""Largest entry of the cross-entropy's gradient at the logits that no longer counts: less a Jacobian, it is 0."""
RESOLUTION = 1e-4
"""Spacing of float32 numbers at the logits, or at the cross-entropy, over the range of the logits."""
TOLERATED = 0.01
SCALES = (0.1, 100.0)
"""Median margins of honest models lie well between. OUR CHOICE: shipped ones have 1 to 12."""
CUT_OFF = 0.02
"""Spread of the largest logit over images, relative to the range of the logits. OUR CHOICE: shipped models have 0.12
and more, a small network with LayerNorm 0.04."""
LEAST = 8
"""Examples that tell so."""
LOG_ONE = 1e-3
_CUT_OFF = " The largest logit is the same for nearly all: it is clipped, squeezed or made of the class alone."
LOST = 2
"""As many breaks that a run left out are worth a warning."""


def _examine(subject: Subject) -> CheckResult:
    logits, labels = subject.correct_logits, subject.correct.labels
    under, coarse = _underflows(logits, labels), _is_coarse(logits)
    bad = int((under | coarse).sum())
    evidence = (
        f"Of {len(logits)} correct examples, the cross-entropy has no gradient left on {int(under.sum())}, and rounding"
        f" hides the logits' differences on {int(coarse.sum())}; their range is {_median(spread(logits)):.2g} (median)."
    )
    found = by_share(bad, len(logits), tolerated=TOLERATED, evidence=evidence)
    if found.level is not Level.PASS:
        return found
    return _rescaled(subject, found) if subject.thorough else _compared(subject, found)


def _compared(subject: Subject, found: CheckResult) -> CheckResult:
    """Hold the size of the logits, and what the margin breaks, against what the run found."""
    size = _size(subject)
    lost = int(subject.by_margin.broken[subject.watched].sum()) if subject.robust is not None else 0
    evidence = f"{found.evidence} Their median margin is {size:.2g}, and eight steps on the margin break {lost} of"
    cut_off = _are_cut_off(subject.correct_logits)
    evidence = f"{evidence} {len(subject.watched)} examples that were left robust.{_CUT_OFF if cut_off else ''}"
    doubtful = not SCALES[0] <= size <= SCALES[1] or cut_off or lost >= LOST
    return CheckResult(
        level=Level.WARN if doubtful else Level.PASS,
        statistic=found.statistic,
        threshold=found.threshold,
        evidence=evidence,
    )


def _are_cut_off(logits: Tensor) -> bool:
    """Whether nearly all images have the same largest logit, though the logits are no logarithms of probabilities."""
    if len(logits) < LEAST or bool((logits.logsumexp(1).abs() < LOG_ONE).all()):
        return False
    return float(logits.amax(1).std()) < CUT_OFF * _median(spread(logits))


def _size(subject: Subject) -> float:
    return _median(losses.margin(subject.correct_logits, subject.correct.labels))


def _underflows(logits: Tensor, labels: Tensor) -> Tensor:
    probabilities = logits.softmax(1)
    gradient = probabilities - functional.one_hot(labels, logits.shape[1])
    return gradient.abs().amax(1) < UNDERFLOW


def _is_coarse(logits: Tensor) -> Tensor:
    largest = logits.abs().amax(1).clamp_min(1.0)  # the cross-entropy is about 1 however small the logits are
    spacing = torch.finfo(torch.float32).eps * largest
    return spacing > RESOLUTION * spread(logits)


def _rescaled(subject: Subject, found: CheckResult) -> CheckResult:
    """Compare with a cross-entropy of logits that are scaled to a median margin of 1."""
    size = _size(subject)
    scale = 1 / max(size, 1e-12)
    objective = functools.partial(_scaled_cross_entropy, scale=scale)
    other = subject.search(Search(name="pgd-10", objective=objective, steps=10, step=1 / 4)).broken
    more, less = int((other & ~subject.pgd_10.broken).sum()), int((subject.pgd_10.broken & ~other).sum())
    evidence = (
        f"{found.evidence} With logits scaled by {scale:.2g}, PGD-10 breaks {more} examples that it left robust, and"
        f" leaves {less} that it broke."
    )
    if _are_cut_off(subject.correct_logits):
        missed = int((subject.white_box.broken & ~subject.pgd_100.broken).sum())
        evidence = (
            f"{evidence}{_CUT_OFF} Attacks on the margin break {missed} that PGD-100 on the cross-entropy leaves."
        )
        level = Level.FAIL if missed >= LOST else Level.WARN
    elif SCALES[0] <= size <= SCALES[1]:
        level = by_pairs(more, less, len(other), evidence=evidence, worst=Level.WARN).level
    else:
        level = Level.FAIL if more - less >= LOST else Level.WARN
    return CheckResult(level=level, statistic=found.statistic, threshold=found.threshold, evidence=evidence)


def _scaled_cross_entropy(logits: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    return losses.cross_entropy(scale * logits, labels)


def _median(values: Tensor) -> float:
    return float(values.median())


ENTRY = Check(
    id="R6",
    question="Are the logits of a size that the losses can see?",
    examine=_examine,
    next="Attack with losses that do not depend on the scale: APGD-T (DLR) and CW, 100 steps each.",
    effort=40,
    short=0,
)
