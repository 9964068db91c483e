"""What a dataset is, once loaded (`Dataset`) and as a page of facts (`DatasetSpec`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Examples, Norm, ThreatModel
from bench.data.preprocessing import Preprocessing

__all__ = ["IMAGE_THREAT_MODELS", "Content", "Dataset", "DatasetSpec", "FileContent", "Split"]

Split = Literal["test", "train"]

IMAGE_THREAT_MODELS = (ThreatModel.parse("Linf:8/255"), ThreatModel.parse("L2:128/255"))
"""The radii that the literature uses for natural images of 32 x 32 and 64 x 64 pixels."""


class Content(NamedTuple):
    """What a reader hands over, before it is checked.

    Attributes:
        inputs: uint8 `(N, C, H, W)`, or floating point in [0, 1].
        labels: integers `(N,)`.
        class_names: what each label stands for.
        notice: set where this is a substitute sample, not the split that was asked for.
        remarks: what the user should know of how it was read, a line each.
    """

    inputs: NDArray[np.generic]
    labels: NDArray[np.generic]
    class_names: tuple[str, ...]
    notice: str | None = None
    remarks: tuple[str, ...] = ()


class FileContent(NamedTuple):
    """What a reader hands over where the images stay in their files until they are needed.

    Attributes:
        files: one per example, in the official order.
        labels: integers `(N,)`.
        class_names: what each label stands for.
        remarks: what the user should know of how it was read, a line each.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.generic]
    class_names: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """The facts about one dataset; a file of `bench.data.datasets` holds one as `ENTRY`.

    Args:
        name: how options and rows call it.
        summary: one line for a listing.
        read: reads a split, given the split and the folder that the user named (or None).
        sizes: the number of examples of each split.
        threat_models: the default one first, at most one per norm.
        digests: the content digest of each split, where it is pinned.
        base: the dataset that this is a part of, whose models it shares; itself where None.
        preprocessing: from image files to pixels, unless a model asks for another; None where it is read otherwise.
    """

    name: str
    summary: str
    read: Callable[[Split, Path | None], Content | FileContent]
    sizes: Mapping[Split, int]
    threat_models: tuple[ThreatModel, ...]
    digests: Mapping[Split, str] = field(default_factory=dict)
    base: str | None = None
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One split of a dataset, checked; in memory, or in files that are read when they are needed.

    Args:
        name: how rows call it; safe as the name of a folder.
        split: "test" or "train".
        examples: the whole split, in its official order; indices are 0..N-1.
        class_names: what each label stands for.
        threat_models: the default threat model of each norm, the preferred norm first.
        digest: SHA-256 over inputs and labels, see `bench.data.content.digest` and `bench.data.files`.
        base: the dataset that this is a part of, whose models it shares; None for itself.
        notice: set where a substitute sample is in use ("20-image sample ..."); show it with
            every number and write no row.
        preprocessing: how pixels were made of image files; None where the split is in memory.
        remarks: what the user should know of how it was read, a line each.
    """

    name: str
    split: Split
    examples: Examples
    class_names: tuple[str, ...]
    threat_models: Mapping[Norm, ThreatModel]
    digest: str
    base: str | None = None
    notice: str | None = None
    preprocessing: Preprocessing | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of one input."""
        return self.examples.shape

    @property
    def default_threat_model(self) -> ThreatModel:
        """The threat model in use unless another is asked for."""
        return next(iter(self.threat_models.values()))
