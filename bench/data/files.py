"""Examples in image files: decoded when they are needed and not kept, so memory does not grow with their number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.data import images
from bench.data.preprocessing import Preprocessing
from bench.storage import read_regular

__all__ = ["FileExamples", "ImageFile", "open_files"]

_MOST_THREADS = 16

_T = TypeVar("_T")
_U = TypeVar("_U")


class ImageFile(NamedTuple):
    """A file and the SHA-256 of its bytes."""

    path: Path
    sha256: str


class FileExamples(Examples):
    """Examples whose inputs are read from their files each time that they are asked for.

    A part of them (`examples[:64]`, `examples[mask]`, `examples.split(64)`) reads nothing yet; `inputs` and `to` read
    all of the part that they are asked of. So take a part first.

    Args:
        files: one per example.
        labels: int64 `(N,)`.
        indices: int64 `(N,)`, position of each example in the official split.
        prepare: from a file's bytes to pixels.
    """

    def __init__(self, *, files: Sequence[ImageFile], labels: Tensor, indices: Tensor, prepare: Preprocessing) -> None:
        if not len(files) == len(labels) == len(indices):
            raise ValueError(
                "Expected as many `files` as `labels` and `indices`, but got "
                f"{len(files)}, {len(labels)} and {len(indices)}."
            )
        for name, value in (("labels", labels), ("indices", indices), ("_files", tuple(files)), ("_prepare", prepare)):
            object.__setattr__(self, name, value)

    _files: tuple[ImageFile, ...]
    _prepare: Preprocessing

    @property
    def inputs(self) -> Tensor:
        """Float32 `(N, C, H, W)`, in [0, 1]; read anew.

        Raises:
            BenchError: if a file is gone, was changed or is no image.
        """
        pixels = np.empty((len(self), *self._prepare.shape), dtype=np.uint8)
        for number, image in enumerate(_in_threads(self._read, self._files)):
            pixels[number] = image
        return torch.from_numpy(pixels).float().div_(255)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of one input; nothing is read."""
        return self._prepare.shape

    @property
    def in_memory(self) -> bool:
        """Whether the inputs are there without reading anything."""
        return False

    @property
    def digest(self) -> str:
        """SHA-256 over the files' digests, how they are prepared, labels and indices; no image is decoded."""
        prepared = digest.of_json({"prepare": self._prepare.parameters()})
        files = "".join(file.sha256 for file in self._files)
        numbers = (tensor.numpy().astype("<i8").tobytes() for tensor in (self.labels, self.indices))
        return digest.of_bytes(prepared.encode(), files.encode(), *numbers)

    def __getitem__(self, which: slice | Tensor) -> FileExamples:
        """The examples that a slice, a mask or an index tensor picks; nothing is read."""
        chosen = torch.arange(len(self))[which.cpu() if isinstance(which, Tensor) else which].tolist()
        return FileExamples(
            files=[self._files[position] for position in chosen],
            labels=self.labels[which],
            indices=self.indices[which],
            prepare=self._prepare,
        )

    def clone(self) -> FileExamples:
        """The same examples; what they read is always new."""
        return FileExamples(
            files=self._files, labels=self.labels.clone(), indices=self.indices.clone(), prepare=self._prepare
        )

    def _read(self, file: ImageFile) -> NDArray[np.uint8]:
        content = _bytes(file.path)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise BenchError(f"Data file {file.path} was changed while it was in use. Run the same command again.")
        return self._prepare(content, source=file.path)


def open_files(paths: Sequence[Path], labels: NDArray[np.generic], prepare: Preprocessing) -> FileExamples:
    """Examples 0 to N-1 in files, each of which is read once for its digest, and none is kept.

    Args:
        paths: of the files.
        labels: integers `(N,)`.
        prepare: from a file's bytes to pixels.

    Raises:
        BenchError: if a file cannot be read.
    """
    files = [ImageFile(path, sha256) for path, sha256 in zip(paths, _in_threads(_sha256, paths), strict=True)]
    numbers = torch.from_numpy(labels.astype(np.int64))
    return FileExamples(files=files, labels=numbers, indices=torch.arange(len(files)), prepare=prepare)


def _in_threads(work: Callable[[_T], _U], items: Sequence[_T]) -> Iterator[_U]:
    """`work` of each, in order, a few at once: decoding and hashing let other threads run."""
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(work, items)


def _sha256(path: Path) -> str:
    return hashlib.sha256(_bytes(path)).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, most_bytes=images.MOST_BYTES)
    except OSError as error:
        raise BenchError(f"Cannot read data file {path}: {error.strerror or error}.") from error
