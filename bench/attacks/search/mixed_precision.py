"""Search on a fast form of the model, believe only the original in float32.

A stage runs on a form that answers fastest: in lower precision, or float32 with rounding of its own. Every break that
it claims is checked on the original model. After a search in lower precision, all that is not broken gets a short
float32 climb from its best iterate, rejected breaks among it, unless the attack is defined by its steps. A rejected
break that outlives this is searched again, once, on the next more exact form: its first search ended early. What
remains is missed breaks, the dangerous side: they are to be measured against an all-float32 run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.attacks.search.ball import Ball
from bench.attacks.search.batching import pick
from bench.attacks.search.best_so_far import BestSoFar, judge
from bench.attacks.search.gradients import differentiate, predict
from bench.attacks.search.projected_gradient import Logits, Runs, ascend, untargeted
from bench.attacks.search.step_rules import HalvingStep
from bench.attacks.search.targets import gap, rank
from bench.core.types import Classifier, Examples, Finish, ThreatModel
from bench.ops import losses

__all__ = ["ModelForms", "Search", "Searched", "search_and_settle"]

FINISH_STEPS = 20
FINISH_TARGETS = 3
FINISH_STEP_SIZE = 1 / 4
"""The first, in units of epsilon: an eighth of a whole run's, since the start is good already."""

Search = Callable[[Classifier, Examples], Tensor]
"""A stage with all but classifier and examples decided; returns the best points, `(N, C, H, W)`."""


@dataclass(frozen=True, kw_only=True)
class ModelForms:
    """One model in up to three forms.

    Args:
        original: float32, as it was handed in; what it says counts.
        exact: float32, in the form that answers fastest.
        low: the same in lower precision; None where the search stays in float32.
    """

    original: Classifier
    exact: Classifier
    low: Classifier | None = None


class Searched(NamedTuple):
    """What an attack returned.

    Attributes:
        points: `(N, C, H, W)`.
        claimed: bool `(N,)`, which breaks the first form claimed.
        rejected: bool `(N,)`, which of those the original model did not confirm.
    """

    points: Tensor
    claimed: Tensor
    rejected: Tensor

    @classmethod
    def without_claims(cls, points: Tensor) -> Searched:
        """Points of which nothing was claimed before the original model judged them."""
        none = torch.zeros(len(points), dtype=torch.bool)
        return cls(points, claimed=none, rejected=none)


def search_and_settle(
    search: Search, forms: ModelForms, examples: Examples, threat_model: ThreatModel, *, finish: Finish
) -> Searched:
    """Run `search` on the fastest form, and settle every verdict on the original.

    Args:
        search: the stage.
        forms: of the model.
        examples: what to attack, N at least 0.
        threat_model: within which ball.
        finish: what the float32 climb after a search in lower precision raises: the cross-entropy, the margin of each
            of the three closest targets, or nothing: then there is none.
    """
    if not len(examples):
        return Searched.without_claims(examples.inputs)
    first, second = (forms.exact, forms.original) if forms.low is None else (forms.low, forms.exact)
    points = search(first, examples)
    claimed = judge(predict(first, points), examples.labels).broken
    if finish == "nothing":
        # What its gradients' passes took for broken left the search, and they round in their own way.
        with_graph = differentiate(first, points, lambda logits: torch.zeros_like(logits[:, 0])).logits
        claimed = claimed | judge(with_graph, examples.labels).broken
    best = BestSoFar(examples.inputs)
    best.note(points, judge(predict(forms.original, points), examples.labels))
    rejected = claimed & ~best.best.broken
    if forms.low is not None and finish != "nothing":
        _finish(forms.exact, examples, best, threat_model, finish)
    again = (rejected & ~best.best.broken).nonzero().squeeze(1)
    if len(again):
        found = search(second, examples[again])
        best.note(found, judge(predict(forms.original, found), examples.labels[again]), rows=again)
    return Searched(points=best.points, claimed=claimed, rejected=rejected)


def _finish(
    classifier: Classifier, examples: Examples, best: BestSoFar, threat_model: ThreatModel, finish: Finish
) -> None:
    """Twenty APGD steps from the best point of what is not broken: on the cross-entropy, or for each close target."""
    rows = best.open()
    if not len(rows):
        return
    targets = rank(predict(classifier, best.points[rows]), examples.labels[rows], FINISH_TARGETS)
    loss = gap if finish == "margin" else untargeted(losses.cross_entropy)
    for target in targets.unbind(1) if finish == "margin" else targets[:, :1].unbind(1):
        left = (~best.best.broken[rows]).nonzero().squeeze(1)
        if not len(left):
            return
        chosen, start = examples[rows[left]], pick(best.best, rows[left])
        ball = Ball.around(chosen.inputs, threat_model)
        runs = Runs.at(
            start.points,
            HalvingStep.within(ball, steps=FINISH_STEPS, first=FINISH_STEP_SIZE),
            chosen.labels,
            targets=target[left],
            positions=rows[left],
            found=start,
        )
        ascend(Logits(classifier=classifier), runs, loss, steps=FINISH_STEPS, best=best)
