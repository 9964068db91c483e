"""Between which radii the smallest adversarial perturbation of each example lies, by bisection that remembers breaks.

A break that was found at one radius is the start of the search at the next smaller one; so is the point that came
closest for the next larger one. OUR CHOICE throughout: the search is projected ascent towards one class after another,
the nearest of which is not the one that is nearest at first. The upper end of a bracket is the distance of a confirmed
break. The lower end is a radius that this search, or the suite before it, did
not break: no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.analysis.radial import climb, distance, onto_radius
from bench.attacks.search import BestSoFar, Verdict, rank
from bench.core.types import Examples, ThreatModel
from bench.evaluation import CountingClassifier, judge
from bench.ops import norms

__all__ = ["Bisection", "Brackets"]

SHRINKS = 5


@dataclass(frozen=True, kw_only=True)
class Brackets:
    """One bracket per example.

    Args:
        lower: float64 `(N,)`, largest radius that was withstood; 0 where none was.
        upper: float64 `(N,)`, smallest distance of a break; infinite where none was found.
        points: `(N, C, H, W)`, where the next search of each example starts: its nearest break, else the point that
            came closest to one, else the clean input.
    """

    lower: Tensor
    upper: Tensor
    points: Tensor


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """Narrows brackets.

    Args:
        ceiling: the norm of distances, and the largest radius that is tried.
        rounds: how often each bracket is halved, at most.
        steps: of the ascent to each class at each radius.
        targets: how many classes are tried, the strongest wrong ones at the start first.
        seed: of random starts.
    """

    ceiling: ThreatModel
    rounds: int
    steps: int
    targets: int
    seed: int

    def narrow(self, module: nn.Module, examples: Examples, known: Brackets, *, passes: float) -> tuple[Brackets, int]:
        """Narrow the brackets within a number of passes; return them and the passes that were taken.

        Args:
            module: the model, in eval mode, on the examples' device.
            examples: those that the brackets are of.
            known: where to start. Where `lower` is not below `upper` nothing is done.
            passes: forward and backward passes of examples that may be taken in all.
        """
        counted = CountingClassifier(module)
        broken = torch.isfinite(known.upper) & (known.lower < known.upper)
        affordable = int(passes // (SHRINKS + 1))
        brackets = self._shrunk(counted, examples, known, broken.nonzero().squeeze(1)[:affordable])
        for number in range(self.rounds):
            radius = self._radius(brackets)
            which = (radius > brackets.lower) & (radius < brackets.upper)
            left = passes - sum(counted.passes)
            affordable = int(left // self._most_passes)
            rows = which.nonzero().squeeze(1)[:affordable]
            if not len(rows):
                break
            brackets = self._halved(counted, examples, brackets, rows, radius, number)
        return brackets, sum(counted.passes)

    @property
    def _most_passes(self) -> int:
        """Passes of one example in one round: the climb, its verdict, and the shrinking with its verdict."""
        return 1 + self.targets * (2 * self.steps + 1) + 1 + SHRINKS + 1

    def _radius(self, brackets: Brackets) -> Tensor:
        """The next radius: the middle, or twice the lower end where nothing is known above it."""
        ahead = (2 * brackets.lower).clamp_max(float(self.ceiling.epsilon))
        return torch.where(torch.isfinite(brackets.upper), (brackets.lower + brackets.upper) / 2, ahead)

    def _halved(
        self, counted: CountingClassifier, examples: Examples, old: Brackets, rows: Tensor, radius: Tensor, number: int
    ) -> Brackets:
        """Try a radius for each of `rows`, and move one end of each of their brackets."""
        part, tried = examples[rows], radius[rows]
        start = onto_radius(old.points[rows], part, tried, self.ceiling, seed=self.seed, step=number)
        nearest = self._nearest(counted, part, tried, start)
        judged = judge(counted, nearest, part, self.ceiling)
        broken = ~judged.robust & judged.finite
        found = distance(judged.points, part, self.ceiling.norm)
        # What lies outside the ball that was tried (by rounding) shows nothing about it.
        broken &= found < old.upper[rows]
        lower, upper, points = old.lower.clone(), old.upper.clone(), old.points.clone()
        lower[rows] = torch.where(broken, lower[rows], tried)
        upper[rows] = torch.where(broken, found, upper[rows])
        keep = torch.isfinite(old.upper[rows]) & ~broken
        points[rows] = torch.where(norms.per_example(keep, nearest), points[rows], judged.points)
        new = Brackets(lower=lower, upper=upper, points=points)
        return self._shrunk(counted, examples, new, rows[broken])

    def _nearest(self, counted: CountingClassifier, part: Examples, radius: Tensor, start: Tensor) -> Tensor:
        """The iterate of smallest margin over all targets; what one of them breaks is spared the next."""
        with torch.no_grad():
            targets = rank(counted(start), part.labels, self.targets)
        best = BestSoFar(start)
        for target in targets.unbind(dim=1):
            left = best.open()
            if not len(left):
                break
            norm = self.ceiling.norm
            found = climb(counted, part[left], target[left], radius[left], start[left], norm=norm, steps=self.steps)
            best.note(found.points, Verdict(found.margins, found.broken), rows=left)
        return best.points

    def _shrunk(self, counted: CountingClassifier, examples: Examples, old: Brackets, rows: Tensor) -> Brackets:
        """Draw breaks towards their inputs as far as they stay breaks, but not below the lower end: forward passes."""
        if not len(rows):
            return old
        part, far = examples[rows], old.points[rows]
        reach = distance(far, part, self.ceiling.norm).clamp_min(torch.finfo(torch.float64).tiny)
        low, high = (old.lower[rows] / reach).clamp(0, 1), torch.ones_like(reach)
        for _ in range(SHRINKS):
            middle = (low + high) / 2
            moved = part.inputs + (far - part.inputs) * norms.per_example(middle, far).to(far.dtype)
            with torch.no_grad():
                broken = counted(moved).argmax(dim=1) != part.labels
            low, high = torch.where(broken, low, middle), torch.where(broken, middle, high)
        moved = part.inputs + (far - part.inputs) * norms.per_example(high, far).to(far.dtype)
        judged = judge(counted, moved, part, self.ceiling)
        found = distance(judged.points, part, self.ceiling.norm)
        better = ~judged.robust & judged.finite & (found < old.upper[rows]) & (found > old.lower[rows])
        upper, points = old.upper.clone(), old.points.clone()
        upper[rows] = torch.where(better, found, upper[rows])
        points[rows] = torch.where(norms.per_example(better, far), judged.points, far)
        return Brackets(lower=old.lower, upper=upper, points=points)
