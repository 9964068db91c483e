"""The model under examination, and what several checks need to know about it, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.autoattack import ApgdT
from bench.core.structure import is_stochastic
from bench.core.types import Attack, Examples, ThreatModel
from bench.diagnostics import points
from bench.diagnostics.deadline import Deadline, TimedModel
from bench.diagnostics.held_draws import HeldDraws
from bench.diagnostics.queries import BATCH, is_wrong, predict
from bench.diagnostics.search import Found, Search
from bench.diagnostics.snapshot import Snapshot
from bench.ops import losses
from bench.row import Accuracy

__all__ = ["Subject"]

FGSM = Search(name="fgsm", steps=1, step=1.0, random_start=False)
PGD_10 = Search(name="pgd-10", steps=10, step=1 / 4)
PGD_100 = Search(name="pgd-100", steps=100, step=1 / 10)
MARGIN_8 = Search(name="margin-8", objective=losses.negative_margin, steps=8, step=1 / 4)
MARGIN_50 = Search(name="margin-50", objective=losses.negative_margin, steps=50, step=1 / 10)
WATCHED = 16
"""Examples that the short form attacks."""
TARGETED = ApgdT(steps=50, targets=3, engine="fast")


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model, lent in eval mode, and examples on its device.

    Args:
        module: the model.
        examples: what it is tried on, at least one.
        threat_model: what an attacker may do.
        num_classes: of the dataset.
        seed: of all draws.
        attacks: those whose numbers are to be believed, for the checks of attacks.
        surrogates: other models of the dataset, for transfer.
        batch_size: how many examples the attacks give it at once.
        robust: bool `(N,)`, the examples that the attacks of a run left robust; None where there was no run.
        claim: the clean accuracy that the checkpoint claims, or None.
        thorough: look with strong attacks; the short form does not.
        deadline: stops the checks that take too long.
    """

    module: nn.Module
    examples: Examples
    threat_model: ThreatModel
    num_classes: int
    seed: int = 0
    attacks: tuple[Attack, ...] = ()
    surrogates: tuple[nn.Module, ...] = ()
    batch_size: int = BATCH
    robust: Tensor | None = None
    claim: Accuracy | None = None
    thorough: bool = True
    deadline: Deadline = field(default_factory=Deadline)

    def __post_init__(self) -> None:
        _ = self.start  # taken before anything is asked

    @cached_property
    def start(self) -> Snapshot:
        """What the model held before the first check."""
        return Snapshot(self.module)

    @cached_property
    def held(self) -> Subject:
        """The same of a stochastic model with its draws held fixed; of any other the subject itself."""
        return replace(self, module=HeldDraws(self.module, self.seed)) if is_stochastic(self.module) else self

    @cached_property
    def classifier(self) -> TimedModel:
        """The model as the checks ask it."""
        return TimedModel(self.module, self.deadline)

    @cached_property
    def answer(self) -> Any:
        """What the model returned for the clean inputs of a batch, whatever that is."""
        with torch.no_grad():
            return self.classifier(self.first.inputs)

    @property
    def first(self) -> Examples:
        """The first examples, one batch of them."""
        return self.examples[:32]

    def few(self, number: int) -> Examples:
        """All examples, or in the short form the first so many."""
        return self.examples if self.thorough else self.examples[:number]

    def few_correct(self, number: int) -> Examples:
        """All examples that are classified correctly, or in the short form the first so many of them."""
        return self.correct if self.thorough else self.correct[:number]

    @cached_property
    def samples(self) -> Tensor:
        """Logits for clean images, for noise and for flat images: what differs between any two models."""
        few = self.examples[: 32 if self.thorough else 16]
        flat = [torch.full_like(few.inputs[:1], level) for level in (0.0, 0.5, 1.0)]
        return predict(self.classifier, torch.cat([few.inputs, points.anywhere(few, seed=self.seed), *flat]))

    @cached_property
    def is_constant(self) -> bool:
        """Whether it gives the same logits to every image, so that nothing can change its answer."""
        if not self.is_readable:
            return False
        return bool((self.samples == self.samples[:1]).all()) and bool((self.logits == self.samples[:1]).all())

    @cached_property
    def is_readable(self) -> bool:
        """Whether the answer can be read as logits: one row of numbers per example, one number for every label."""
        answer = self.answer
        if not isinstance(answer, Tensor) or answer.layout is not torch.strided:
            return False
        if answer.ndim != 2 or len(answer) != len(self.first):
            return False
        return answer.is_floating_point() and answer.shape[1] > max(1, int(self.examples.labels.max()))

    @cached_property
    def logits(self) -> Tensor:
        """Of the clean inputs, `(N, K)`."""
        return predict(self.classifier, self.examples.inputs)

    @cached_property
    def correct(self) -> Examples:
        """The examples that are classified correctly: what attacks are tried on."""
        return self.examples[~is_wrong(self.logits, self.examples.labels)]

    @cached_property
    def correct_logits(self) -> Tensor:
        """Of the correct examples, `(M, K)`."""
        return self.logits[~is_wrong(self.logits, self.examples.labels)]

    @cached_property
    def fgsm(self) -> Found:
        """One step, on the correct examples."""
        return self.search(FGSM)

    @cached_property
    def pgd_10(self) -> Found:
        """Ten steps on the cross-entropy, on the correct examples."""
        return self.search(PGD_10)

    @cached_property
    def pgd_100(self) -> Found:
        """A hundred steps on the cross-entropy, on the correct examples."""
        return self.search(PGD_100)

    @cached_property
    def by_margin(self) -> Found:
        """Fifty steps on the margin, on the correct examples; in the short form eight, on those that are watched."""
        if self.thorough:
            return self.search(MARGIN_50)
        found, rows = self.search(MARGIN_8, self.correct[self.watched]), self.watched
        places, broken = self.correct.inputs.clone(), torch.ones_like(self.correct.labels, dtype=torch.bool)
        places[rows], broken[rows] = found.points, found.broken
        return Found(points=places, broken=broken)

    @cached_property
    def watched(self) -> Tensor:
        """Rows of the correct examples that the run left robust; few in the short form, all that are correct else."""
        rows = torch.arange(len(self.correct), device=self.correct.labels.device)
        if self.robust is not None:
            rows = rows[self.robust[~is_wrong(self.logits, self.examples.labels)]]
        return rows if self.thorough else rows[:WATCHED]

    @cached_property
    def white_box(self) -> Found:
        """What gradients find on the correct examples, all attacks of the form together."""
        found = self.by_margin
        if not self.thorough:
            return found
        found = found.joined(self.pgd_100, torch.arange(len(found.broken), device=found.broken.device))
        left = found.left
        part = self.correct[left]
        candidates = TARGETED.perturb(self.classifier, part, self.threat_model, seed=self.seed)
        return found.joined(self.judged(candidates, part), left)

    def search(self, search: Search, examples: Examples | None = None, *, seed: int | None = None) -> Found:
        """Run a search, by default on the correct examples with the subject's seed."""
        examples = self.correct if examples is None else examples
        return search.run(self.classifier, examples, self.threat_model, seed=self.seed if seed is None else seed)

    def judged(self, candidates: Tensor, examples: Examples) -> Found:
        """Which of `candidates` `(N, C, H, W)` are misclassified."""
        if not len(examples):
            return Found(points=candidates, broken=examples.labels.bool())
        return Found(points=candidates, broken=is_wrong(predict(self.classifier, candidates), examples.labels))
