"""Learning rates as functions of the epochs done: nothing to save, nothing to resume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["LearningRate", "OneCycle", "Steps"]


class LearningRate(Protocol):
    """A learning rate for every moment of training."""

    def at(self, epoch: float, epochs: int) -> float:
        """The learning rate after `epoch` (with its fraction) of `epochs` epochs."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Linear from 0 to `peak` over the first `rise` of training, then linear to 0 (Smith 2018, arXiv 1803.09820).

    >>> OneCycle(peak=0.2, rise=0.25).at(2.5, 10)
    0.2
    """

    peak: float
    rise: float = 0.3

    def at(self, epoch: float, epochs: int) -> float:
        """The learning rate after `epoch` epochs."""
        done = epoch / epochs
        return self.peak * (done / self.rise if done < self.rise else max(0.0, (1 - done) / (1 - self.rise)))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """`base`, multiplied by `factor` at each of the `milestones`; a shorter training meets them as much earlier.

    >>> steps = Steps(base=0.1, milestones=(100, 150), of=200)
    >>> [round(steps.at(epoch, 10), 6) for epoch in (4.9, 5, 7.5)]
    [0.1, 0.01, 0.001]

    Args:
        base: the first learning rate.
        milestones: in epochs.
        of: of how many epochs.
        factor: what each multiplies.
    """

    base: float
    milestones: tuple[int, ...]
    of: int
    factor: float = 0.1

    def at(self, epoch: float, epochs: int) -> float:
        """The learning rate after `epoch` epochs."""
        done = epoch * self.of / epochs
        return self.base * self.factor ** sum(done >= milestone for milestone in self.milestones)
