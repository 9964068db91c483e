"""R13: does an attack without gradients, or from another model, break what gradients do not?

An attacker who sees the gradient can do all that one without it can. Square (arXiv 1912.00049) and examples made for
other models of the dataset must therefore find nothing new; in eleven public AutoAttack logs of honest models Square
broke 2 of 54,533 survivors. The short form transfers the points of one short attack on two other models together,
or asks Square little where there are none, and does so on examples that the run's attacks left robust.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.attacks import CW
from bench.attacks.autoattack import Square
from bench.core.types import Examples
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult

__all__ = ["ENTRY"]

QUERIES = 300
TRANSFER = CW(steps=20)
TOLERATED = 0.002
TOGETHER = Search(name="transfer", objective=losses.negative_margin, steps=20, step=1 / 8)
TOGETHER_IN_SHORT = Search(name="transfer", objective=losses.negative_margin, steps=6, step=1 / 4)
QUERIES_IN_SHORT = 24
MODELS_IN_SHORT = 2


class _Together(nn.Module):
    """The mean of what several models say.

    Args:
        models: at least one.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return torch.stack([model(inputs) for model in self.models]).mean(0)


def _examine(subject: Subject) -> CheckResult:
    left = subject.white_box.left
    if not len(left):
        return not_applicable("The gradient attacks broke every correct example, so nothing is left for others.")
    examples = subject.correct[left]
    if not subject.thorough and subject.surrogates:
        by_transfer = _transferred(subject, examples, TOGETHER_IN_SHORT, subject.surrogates[:MODELS_IN_SHORT])
        count = int(by_transfer.sum())
        evidence = f"An attack on {len(subject.surrogates[:MODELS_IN_SHORT])} other models breaks {count} of"
        evidence = f"{evidence} {len(left)} examples that the attacks left robust."
        return by_share(count, len(left), tolerated=TOLERATED, evidence=evidence)
    square = Square(queries=QUERIES if subject.thorough else QUERIES_IN_SHORT, engine="fast")
    knows_norm = subject.threat_model.norm in square.norms
    if not knows_norm and not subject.surrogates:
        return not_applicable(f"Square does not know {subject.threat_model.norm}, and there is no other model.")
    by_square = by_transfer = torch.zeros_like(examples.labels, dtype=torch.bool)
    if knows_norm:
        points = square.perturb(subject.classifier, examples, subject.threat_model, seed=subject.seed)
        by_square = subject.judged(points, examples).broken
    for surrogate in subject.surrogates:
        subject.deadline.look()
        points = TRANSFER.perturb(surrogate, examples, subject.threat_model, seed=subject.seed)
        by_transfer = by_transfer | subject.judged(points, examples).broken
    if subject.surrogates:
        by_transfer = by_transfer | _transferred(subject, examples, TOGETHER, subject.surrogates)
    count = int((by_square | by_transfer).sum())
    by_queries = f"Square breaks {int(by_square.sum())} with {square.queries} queries, and " if knows_norm else ""
    evidence = (
        f"Of the {len(left)} examples that gradients left robust, {by_queries}attacks on {len(subject.surrogates)}"
        f" other models break {int(by_transfer.sum())}."
    )
    return by_share(count, len(left), tolerated=TOLERATED, evidence=evidence)


def _transferred(subject: Subject, examples: Examples, search: Search, models: Sequence[nn.Module]) -> Tensor:
    """Which examples break where an attack on other models ends, bool `(N,)`."""
    found = search.run(_Together(models).eval(), examples, subject.threat_model, seed=subject.seed)
    return subject.judged(found.points, examples).broken


ENTRY = Check(
    id="R13",
    question="Do attacks without its gradient find nothing new?",
    examine=_examine,
    next="Run Square with 5,000 queries and 30 restarts; transfer from models without the defence; distrust gradients.",
    effort=400,
    short=13.5,
)
