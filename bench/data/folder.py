"""A user's own data as images on disk, one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.errors import BenchError
from bench.data import images
from bench.data.dataset import Content

__all__ = ["read"]


def read(path: Path) -> Content:
    """Read `path/CLASS/IMAGE`: classes in alphabetical order, hidden folders left out.

    Examples take turns between the classes (the first image of each, then the second of each),
    so that the first N are a fair sample. One channel if every image is grey, else three.

    Raises:
        BenchError: if the folder, its classes or their images are missing, damaged or unequal in size.
    """
    if not path.is_dir():
        raise BenchError(f"No such data folder: {path}.")
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))
    if not classes:
        raise BenchError(f"Expected one folder of images per class in {path}, but it has no folders.")
    turns = sorted(
        (rank, label, file) for label, entry in enumerate(classes) for rank, file in enumerate(_image_files(entry))
    )
    files = [file for _, _, file in turns]
    return Content(
        inputs=images.read(files, grey=all(map(images.is_grey, files))),
        labels=np.array([label for _, label, _ in turns], dtype=np.int64),
        class_names=tuple(entry.name for entry in classes),
    )


def _image_files(folder: Path) -> list[Path]:
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in images.SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        known = ", ".join(sorted(images.SUFFIXES))
        raise BenchError(f"Expected images ({known}) in every class folder, but {folder} has none.")
    return files
