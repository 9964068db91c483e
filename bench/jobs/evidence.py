"""The evidence that a row ships: the kept breaks, and the first few of them as pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core import digest
from bench.data import Dataset
from bench.row import EvidenceFile
from bench.row.arrays import GALLERY_SIZE, LEVELS, NOT_FINITE, Breaks, Gallery, dump_evidence

__all__ = ["Packed", "clean_inputs", "pack"]


class Packed(NamedTuple):
    """A file and what a row says about it."""

    link: EvidenceFile
    content: bytes


def pack(breaks: Breaks, dataset: Dataset, *, gallery: bool = True) -> Packed:
    """Make the file.

    Args:
        breaks: what was broken.
        dataset: the split that the breaks belong to.
        gallery: show the first few as pictures.
    """
    content = dump_evidence(breaks, _gallery(breaks, dataset) if gallery else None)
    return Packed(EvidenceFile(sha256=digest.of_content(content), n_breaks=len(breaks)), content)


def clean_inputs(breaks: Breaks, dataset: Dataset) -> NDArray[np.float32]:
    """The clean inputs `(B, C, H, W)` that the breaks belong to."""
    inputs: NDArray[np.float32] = dataset.examples[torch.from_numpy(breaks.indices)].inputs.numpy()
    return inputs


def _gallery(breaks: Breaks, dataset: Dataset) -> Gallery:
    first = breaks.pick(np.arange(len(breaks)) < GALLERY_SIZE)
    clean = clean_inputs(first, dataset)
    names = [
        (_name(dataset, label), _name(dataset, predicted))
        for label, predicted in zip(first.labels.tolist(), first.predictions.tolist(), strict=True)
    ]
    return Gallery(
        indices=first.indices,
        clean=_pixels(clean),
        adversarial=_pixels(first.inputs(clean)),
        classes=np.array(names, dtype=np.str_).reshape(len(first), 2),
    )


def _name(dataset: Dataset, label: int) -> str:
    if label == NOT_FINITE:
        return "not finite"
    # A model may have more classes than the data.
    return dataset.class_names[label] if label < dataset.num_classes else f"class {label}"


def _pixels(inputs: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(inputs.astype(np.float64) * LEVELS).astype(np.uint8)
