"""From `--samples N` and `--indices A:B` to examples."""

from __future__ import annotations

import re

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.data.dataset import Dataset

__all__ = ["select"]

_RANGE = re.compile(r"(?P<start>[0-9]*):(?P<stop>[0-9]*)")


def select(dataset: Dataset, *, samples: int | None = None, indices: str | None = None) -> Examples:
    """Pick consecutive examples of a split.

    Args:
        dataset: the split to pick from.
        samples: the first so many.
        indices: a range `A:B` of positions in the split, A included and B not; either may be left out.

    Returns:
        The picked examples; all of them where neither is given.

    Raises:
        BenchError: if both are given, or the range is malformed, empty or beyond the end.
    """
    if samples is not None and indices is not None:
        raise BenchError(f"Expected either samples or indices, but got both: {samples} and {indices!r}.")
    if indices is not None:
        return _range(dataset, indices)
    if samples is None:
        return dataset.examples
    if samples < 1:
        raise BenchError(f"Expected at least 1 sample, but got {samples}.")
    if samples > len(dataset):
        raise BenchError(f"Expected at most {len(dataset)} samples, but got {samples}: {_held(dataset)}.")
    return dataset.examples[:samples]


def _range(dataset: Dataset, text: str) -> Examples:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise BenchError(f"Expected indices as A:B, such as 0:1000, but got {text!r}.")
    start = int(match["start"] or 0)
    stop = int(match["stop"] or len(dataset))
    if stop > len(dataset) or start >= len(dataset):
        raise BenchError(f"Expected indices within 0:{len(dataset)}, but got {text!r}: {_held(dataset)}.")
    if start >= stop:
        raise BenchError(f"Expected indices A:B with A below B, but got {text!r}.")
    return dataset.examples[start:stop]


def _held(dataset: Dataset) -> str:
    held = f"{dataset.name} has {len(dataset)} {dataset.split} examples"
    return f"{held} ({dataset.notice})" if dataset.notice else held
