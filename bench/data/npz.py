"""A user's own data in one `.npz` file: `inputs`, `labels` and, if wanted, `class_names`.

Nothing in the file is ever unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.regular_file import open_regular
from bench.data.dataset import Content

__all__ = ["read"]

_REQUIRED = ("inputs", "labels")
_MOST_CLASSES = 100_000
_MOST_BYTES = 64 << 30


def read(path: Path) -> Content:
    """Read `inputs` `(N, C, H, W)`, `labels` `(N,)` and optional `class_names` `(K,)`.

    Without `class_names`, the classes are 0 to the largest label.

    Raises:
        BenchError: if the file is missing, damaged, or lacks an array.
    """
    try:
        arrays = _read_arrays(path)
    except FileNotFoundError:
        raise BenchError(f"No such data file: {path}.") from None
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchError(f"Cannot read {path} as .npz without pickles: {reason.rstrip('.')}.") from error
    for key in _REQUIRED:
        if key not in arrays:
            raise BenchError(f"{path}: expected the arrays inputs and labels, but found {', '.join(arrays) or 'none'}.")
    return Content(inputs=arrays["inputs"], labels=arrays["labels"], class_names=_class_names(arrays, arrays["labels"]))


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    if path.is_dir():
        raise ValueError("it is a folder; for one folder of images per class, use folder:PATH")
    with open_regular(path, most_bytes=_MOST_BYTES) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a zip archive; write it with numpy.savez")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"its part {key!r} is not an array")
    return arrays


def _class_names(arrays: dict[str, NDArray[np.generic]], labels: NDArray[np.generic]) -> tuple[str, ...]:
    if "class_names" in arrays:
        return tuple(str(name) for name in arrays["class_names"].ravel())
    largest = max(int(labels.max()), -1) if labels.dtype.kind in "iu" and labels.size else -1
    if largest >= _MOST_CLASSES:
        raise BenchError(f"Expected labels below {_MOST_CLASSES}, or class_names, but got label {largest}.")
    return tuple(str(label) for label in range(largest + 1))
