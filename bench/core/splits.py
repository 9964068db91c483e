"""Known test splits: how many examples, of which shape. Here because rows are checked without what reads the data."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LARGEST_SHAPE", "TEST_SPLITS", "TestSplit"]

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
