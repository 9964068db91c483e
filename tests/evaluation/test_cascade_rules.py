"""Who is tried, who is spared, and how sure one can be of the spared."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench.core.types import CascadeRules, Examples
from bench.evaluation.cascade import audit_breaks, doubts, has_gradient, select
from bench.evaluation.evaluation import AuditCounts

RULES = CascadeRules()


def test_the_closest_survivors_go_on():
    """A twentieth, those of smallest margin, and no broken example; the audit draws from the others alone."""
    survivors = [position % 3 != 0 for position in range(300)]
    margins = [float((position * 7919) % 300) for position in range(300)]
    chosen = select(RULES, survivors, margins, range(300), seed=0)
    alive = sorted((position for position in range(300) if survivors[position]), key=lambda each: margins[each])
    assert [position for position in range(300) if chosen.closest[position]] == sorted(alive[:10])
    audited = {position for position in range(300) if chosen.audited[position]}
    assert len(audited) == 19 and audited <= set(alive[10:])
    assert sum(chosen.tried) == 29


@pytest.mark.parametrize(("n_survivors", "n_closest", "n_audited"), [(0, 0, 0), (3, 3, 0), (10, 4, 6), (50, 4, 16)])
def test_few_survivors_are_tried_at_least(n_survivors, n_closest, n_audited):
    """At least four of the closest and sixteen of the others, as far as there are so many."""
    survivors = [position < n_survivors for position in range(60)]
    chosen = select(RULES, survivors, [1.0] * 60, range(60), seed=0)
    assert (sum(chosen.closest), sum(chosen.audited)) == (n_closest, n_audited)


def test_the_draw_is_keyed_by_seed_and_index():
    """The same examples in another order are drawn alike; another seed draws others."""
    indices = list(range(1000, 1400))
    margins = {index: float(index % 97) for index in indices}
    shuffled = random.Random(0).sample(indices, len(indices))

    def drawn(order, seed):
        chosen = select(RULES, [True] * 400, [margins[index] for index in order], order, seed=seed)
        return {index for index, yes in zip(order, chosen.audited, strict=True) if yes}

    assert drawn(indices, 0) == drawn(shuffled, 0) != drawn(indices, 1)


@pytest.mark.parametrize("rate", [0, 0.005, 0.02, 0.1])
def test_the_interval_covers_a_planted_number_of_missed_breaks(rate):
    """In at least 95 of 100 audits, within three binomial errors: breaks lie anywhere among 300 survivors."""
    trials, n_survivors, covered, spared = 400, 300, 0, 0
    margins = [float(position) for position in range(n_survivors)]
    for seed in range(trials):
        breaks = set(random.Random(seed).sample(range(n_survivors), round(rate * n_survivors)))
        held = [position not in breaks for position in range(n_survivors)]
        chosen = select(RULES, [True] * n_survivors, margins, range(n_survivors), seed=seed)
        found = audit_breaks(chosen, held)
        unaudited = 0 if found else n_survivors - sum(chosen.tried)
        counts = AuditCounts(n_audited=sum(chosen.audited), n_unaudited=unaudited, n_breaks=found, escalated="")
        missed = 0 if found else sum(not chosen.tried[position] for position in breaks)
        covered += missed <= counts.most_missed
        spared += unaudited > 0
    assert covered / trials >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
    assert (spared == trials) if rate == 0 else (0 < spared < trials)


def test_a_gap_between_cross_entropy_and_margins_is_a_doubt():
    """Above an eighth of all examples, not at it."""
    few = {"n_examples": 64, "n_without_gradient": 0}
    assert doubts(RULES, n_broken_by_second=8, **few) == ()
    assert doubts(RULES, n_broken_by_second=9, **few) == ("margins broke 9 of 64 examples that cross-entropy had not",)
    assert RULES.largest_gap == Fraction(1, 8)


def test_any_missing_gradient_is_a_doubt():
    """One example is enough."""
    assert doubts(RULES, n_broken_by_second=0, n_examples=64, n_without_gradient=1) == ("no gradient at 1 examples",)


class Partly(nn.Module):
    """Gradients that vanish, are not finite, or are there, by the brightness of the image."""

    def forward(self, inputs):
        score = inputs.flatten(1).sum(1)
        level = inputs.flatten(1).mean(1).detach()
        score = torch.where(level < 0.3, score.detach(), score)
        score = torch.where(level > 0.7, (score - score.detach()).clamp_min(0).sqrt(), score)
        return torch.stack([-score, score], dim=1)


def test_gradients_that_are_zero_or_not_finite_are_none():
    """Example by example; a model through which nothing flows has none at all."""
    inputs = torch.stack([torch.full((1, 4, 4), value) for value in (0.1, 0.5, 0.9)])
    examples = Examples(inputs=inputs, labels=torch.ones(3, dtype=torch.int64), indices=torch.arange(3))
    assert has_gradient(Partly(), examples).tolist() == [False, True, False]

    class Detached(nn.Module):
        def forward(self, inputs):
            return inputs.flatten(1)[:, :2].detach()

    assert has_gradient(Detached(), examples).tolist() == [False] * 3
