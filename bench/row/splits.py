"""Known test splits, and on how many of their examples models are ranked: the first 1,000, or all of a smaller one.

A suite that audits itself by a key of each example is for all of a split.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LARGEST_SHAPE", "RANKED_EXAMPLES", "TEST_SPLITS", "TestSplit", "ranked_examples"]

RANKED_EXAMPLES = 1000

LARGEST_SHAPE = (3, 256, 256)
"""Shape `(C, H, W)` of which inputs of unknown data are expected at most."""


class TestSplit(NamedTuple):
    """What every row about a data set is held against; `shape` is `(C, H, W)`."""

    size: int
    shape: tuple[int, int, int]


TEST_SPLITS = {
    "cifar10": TestSplit(10_000, (3, 32, 32)),
    "cifar100": TestSplit(10_000, (3, 32, 32)),
    "digits": TestSplit(360, (1, 8, 8)),
    "imagenet": TestSplit(50_000, (3, 224, 224)),
    "imagenet-5000": TestSplit(5000, (3, 224, 224)),
    "svhn": TestSplit(26_032, (3, 32, 32)),
    "tiny-imagenet": TestSplit(10_000, (3, 64, 64)),
}


def ranked_examples(dataset: str, *, whole: bool = False) -> int:
    """How many of the first examples a row needs to be ranked.

    Args:
        dataset: its name.
        whole: for a suite that is meant for whole splits; of data that is not known here the usual number.
    """
    known = TEST_SPLITS.get(dataset)
    if known is None:
        return RANKED_EXAMPLES
    return known.size if whole else min(known.size, RANKED_EXAMPLES)
