"""The file of adversarial examples beside a row."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from bench.row.arrays import evidence_file, npz
from bench.row.arrays.adversarials import Breaks
from bench.row.arrays.evidence_file import Gallery

SHAPE = (1, 2, 2)
BREAKS = Breaks(
    indices=np.array([3, 7]),
    labels=np.array([0, 1]),
    predictions=np.array([2, -1]),
    margins=np.array([-0.5, -np.inf], np.float32),
    rounded=np.array([True, False]),
    deltas=np.full((1, *SHAPE), -3, np.int8),
    exact=np.full((1, *SHAPE), 0.25, np.float32),
)
GALLERY = Gallery(
    indices=np.array([3]),
    clean=np.full((1, *SHAPE), 200, np.uint8),
    adversarial=np.full((1, *SHAPE), 197, np.uint8),
    classes=np.array([["cat", "dog"]]),
)
MOST = evidence_file.most_evidence_bytes(2, SHAPE)


def test_breaks_and_gallery_come_back() -> None:
    """Every array, with the memory that `most_bytes` promises and no more."""
    content = evidence_file.dump_evidence(BREAKS, GALLERY)
    found, gallery = (
        evidence_file.load_evidence(content, most_bytes=MOST),
        evidence_file.load_gallery(content, shape=SHAPE),
    )
    for name, array in BREAKS.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert gallery is not None
    assert (gallery.clean == 200).all() and (gallery.adversarial == 197).all()
    assert gallery.classes.tolist() == [["cat", "dog"]] and gallery.indices.tolist() == [3]


def test_the_bytes_of_format_1_stay_what_they_are() -> None:
    """Names and order of the arrays are a promise to readers in other languages."""
    with np.load(io.BytesIO(evidence_file.dump_evidence(BREAKS, GALLERY)), allow_pickle=False) as read:
        assert list(read) == [
            *("format", "indices", "labels", "predictions", "margins", "rounded", "deltas", "exact"),
            *("gallery_indices", "gallery_clean", "gallery_adversarial", "gallery_classes"),
        ]
        assert read["format"] == 1


def test_without_a_gallery_there_is_none() -> None:
    """The breaks that others add come without pictures."""
    content = evidence_file.dump_evidence(BREAKS)
    assert evidence_file.load_gallery(content, shape=SHAPE) is None
    assert len(evidence_file.load_evidence(content, most_bytes=MOST)) == 2


def change(**changed: Any) -> bytes:
    pictures = {f"gallery_{name}": value for name, value in vars(GALLERY).items()}
    whole = {"format": np.array(1), **BREAKS.arrays, **pictures, **changed}
    return npz.dump_arrays({name: value for name, value in whole.items() if value is not None})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(format=np.array(2)), "format 1, but got 2. Update bench"),
        (change(indices=np.array([7, 3])), "ascending"),
        (change(margins=None), "margins"),
        (change(more=np.array(1)), "only the arrays"),
        (change(exact=np.zeros((100_000, *SHAPE), np.float32)), "at most"),
    ],
)
def test_breaks_that_are_none_are_refused(content: bytes, message: str) -> None:
    """A later format, contradictions, missing and foreign arrays, too much memory."""
    with pytest.raises(ValueError, match=message):
        evidence_file.load_evidence(content, most_bytes=MOST)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(gallery_classes=None), "no gallery_classes"),
        (change(gallery_clean=np.zeros((2, *SHAPE), np.uint8)), "in pairs"),
        (change(gallery_classes=np.array([["cat"]])), "two class names"),
        (change(format=np.array(0)), "format 1"),
        (
            change(
                gallery_indices=np.arange(9),
                gallery_clean=np.zeros((9, *SHAPE), np.uint8),
                gallery_adversarial=np.zeros((9, *SHAPE), np.uint8),
                gallery_classes=np.full((9, 2), "a"),
            ),
            "at most 8 pairs",
        ),
    ],
)
def test_galleries_that_are_none_are_refused(content: bytes, message: str) -> None:
    """Whoever renders one can rely on pairs with two names."""
    with pytest.raises(ValueError, match=message):
        evidence_file.load_gallery(content, shape=SHAPE)
