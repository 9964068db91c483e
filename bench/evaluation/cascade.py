"""Which survivors the later stages of a cascade or an audit see, and what makes it give up saving them.

Everything here is decided from verdicts, margins and keyed draws over the whole run, so it does not depend on batches,
on the order of the examples, or on where a run was interrupted. Whom an audit sees does not depend on other examples
either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from bench.core.audited import is_audited
from bench.core.types import AuditRules, CascadeRules, Examples
from bench.ops import losses
from bench.ops.sampling import Stream, random_bits

__all__ = ["Selection", "audit_breaks", "audited", "doubts", "has_gradient", "select", "share_tried"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Of the survivors of the stages that see everything, which go on; one item per example of the run.

    Args:
        closest: those of smallest margin.
        audited: a random sample of the others.
    """

    closest: tuple[bool, ...]
    audited: tuple[bool, ...]

    @property
    def tried(self) -> tuple[bool, ...]:
        """Those that the later stages see."""
        return tuple(near or drawn for near, drawn in zip(self.closest, self.audited, strict=True))


def select(
    rules: CascadeRules, survivors: Sequence[bool], margins: Sequence[float], indices: Sequence[int], *, seed: int
) -> Selection:
    """Split the survivors.

    Args:
        rules: the shares.
        survivors: one item per example.
        margins: the smallest margin found for each example.
        indices: position of each example in the official split, which keys its draw.
        seed: of the run.
    """
    alive = [position for position, robust in enumerate(survivors) if robust]
    alive.sort(key=lambda position: (margins[position], indices[position]))
    n_closest = _part(rules.closest, rules.least_closest, len(alive))
    closest, others = set(alive[:n_closest]), alive[n_closest:]
    draws = random_bits(Stream(seed=seed, attack="audit"), torch.tensor(indices, dtype=torch.int64), (2,)).tolist()
    others.sort(key=lambda position: (draws[position], indices[position]))
    audited = set(others[: _part(rules.audited, rules.least_audited, len(others))])
    return Selection(
        closest=tuple(position in closest for position in range(len(survivors))),
        audited=tuple(position in audited for position in range(len(survivors))),
    )


def audited(rules: AuditRules, survivors: Sequence[bool], indices: Sequence[int]) -> Selection:
    """The survivors that an audit sees.

    Args:
        rules: the rate.
        survivors: one item per example.
        indices: position of each example in the official split, which is its key.
    """
    drawn = (is_audited(index, rules.rate) for index in indices)
    return Selection(
        closest=(False,) * len(survivors),
        audited=tuple(robust and looked for robust, looked in zip(survivors, drawn, strict=True)),
    )


def share_tried(rules: CascadeRules | AuditRules, n_survivors: float) -> float:
    """The share of so many expected survivors that the later stages will see if nothing speaks against it."""
    if isinstance(rules, AuditRules):
        return float(rules.rate)
    if n_survivors < 1:
        return 1.0
    closest = min(n_survivors, max(rules.least_closest, float(rules.closest) * n_survivors))
    others = n_survivors - closest
    return (closest + min(others, max(rules.least_audited, float(rules.audited) * others))) / n_survivors


def doubts(
    rules: CascadeRules | AuditRules, *, n_broken_by_second: int, n_examples: int, n_without_gradient: int
) -> tuple[str, ...]:
    """Why all survivors have to be tried from the start, a phrase each; empty where nothing speaks for it.

    Args:
        rules: the threshold.
        n_broken_by_second: examples that a search on margins broke and one on cross-entropy had not.
        n_examples: examples in all.
        n_without_gradient: examples at which a gradient is zero.
    """
    found = []
    if n_without_gradient:
        found.append(f"no gradient at {n_without_gradient} examples")
    if Fraction(n_broken_by_second, n_examples) > rules.largest_gap:
        found.append(f"margins broke {n_broken_by_second} of {n_examples} examples that cross-entropy had not")
    return tuple(found)


def audit_breaks(selection: Selection, robust: Sequence[bool]) -> int:
    """How many audited examples did not withstand the later stages."""
    return sum(drawn and not held for drawn, held in zip(selection.audited, robust, strict=True))


def has_gradient(module: nn.Module, examples: Examples) -> Tensor:
    """Whether cross-entropy and margin both have an input gradient that is finite and not zero everywhere: bool `(N,)`.

    Args:
        module: the model, in eval mode, frozen.
        examples: clean examples on its device.
    """
    fine = torch.ones(len(examples), dtype=torch.bool, device=examples.inputs.device)
    for loss in (losses.cross_entropy, losses.margin):
        leaf = examples.inputs.detach().clone().requires_grad_()
        values = loss(module(leaf), examples.labels)
        if not values.requires_grad:
            return torch.zeros_like(fine)
        (slope,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True, materialize_grads=True)
        flat = slope.flatten(1)
        fine &= flat.isfinite().all(1) & (flat != 0).any(1)
    return fine


def _part(share: Fraction, least: int, total: int) -> int:
    return min(total, max(least, math.ceil(share * total)))
