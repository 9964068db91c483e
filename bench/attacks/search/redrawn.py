"""A stochastic model as a search asks it: every pass has draws that are given, so that a rerun sees the same."""

from __future__ import annotations

from torch import Tensor

from bench.core.types import Classifier
from bench.ops.generators import seed_generators

__all__ = ["Redrawn"]


class Redrawn:
    """A classifier that seeds the global generators before every pass; who uses it puts them back.

    Args:
        classifier: the model.
        key: what the draws are for.
        passes: how many of them a look takes, which their means stand for.
        fresh: whether each pass has other draws; else all have the same, and the model is a deterministic one.
    """

    def __init__(
        self, classifier: Classifier, *, key: tuple[int | str, ...], passes: int = 1, fresh: bool = True
    ) -> None:
        self.passes = passes
        self._classifier = classifier
        self._key = key
        self._fresh = fresh
        self._n_calls = 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits `(N, K)` of inputs `(N, C, H, W)` in one pass."""
        seed_generators(*self._key, self._n_calls)
        self._n_calls += self._fresh
        return self._classifier(inputs)
