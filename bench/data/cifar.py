"""CIFAR-10 and CIFAR-100, read by torchvision's classes.

Their files are pickles. torchvision compares every file with its published MD5 before it unpickles
the first, so that a damaged or foreign file is refused unread.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core.errors import BenchError
from bench.data import download, lookup
from bench.data.dataset import Content, Split

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

__all__ = ["read"]


def read(source: type[CIFAR10], split: Split, data_dir: Path | None) -> Content:
    """Find or download the data and read one split.

    Args:
        source: torchvision's class.
        split: "test" or "train".
        data_dir: the folder that the user named.

    Raises:
        NoNetworkError: if it is neither on this machine nor to be downloaded.
        BenchError: if a file is missing or damaged.
    """
    root = lookup.find(source.base_folder, data_dir=data_dir)
    if root is None:
        root = lookup.folders(data_dir)[0]
        download.fetch(
            source.base_folder,
            into=root,
            download=lambda scratch: source(scratch, download=True),
            looked_in=lookup.listing(data_dir),
        )
    try:
        loaded = source(root, train=split == "train")
    except (RuntimeError, OSError) as error:  # raised before anything is unpickled
        raise BenchError(_complaint(source, root)) from error
    return Content(
        inputs=loaded.data.transpose(0, 3, 1, 2),  # (N, H, W, C) -> (N, C, H, W)
        labels=np.asarray(loaded.targets, dtype=np.int64),
        class_names=tuple(loaded.classes),
    )


def _complaint(source: type[CIFAR10], root: Path) -> str:
    """Name the first file that is missing, damaged or unreadable."""
    from torchvision.datasets.utils import check_integrity

    folder = root / source.base_folder
    expected = [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]
    for name, md5 in expected:
        path = folder / name
        if not path.is_file():
            return f"Missing data file {path}. Delete {folder} and run again to download it."
        try:
            intact = check_integrity(path, md5)
        except OSError as error:
            return f"Cannot read data file {path}: {error.strerror or error}."
        if not intact:
            return f"Damaged data file {path}: its MD5 is not {md5}. Delete {folder} and run again to download it."
    return f"Cannot read the data in {folder}. Delete it and run again to download it."
