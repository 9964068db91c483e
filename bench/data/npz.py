"""A user's own data in one `.npz` file: `inputs`, `labels` and, if wanted, `class_names`.

Nothing in the file is ever unpickled, and nothing is read whose header promises more than fits into memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.core.errors import BenchError, nearest
from bench.data.classes import MOST_CLASSES
from bench.data.dataset import Content
from bench.data.memory import expect_to_fit
from bench.row.arrays import read_array_header
from bench.storage import open_regular

__all__ = ["read"]

_SUFFIX = ".npy"
_MOST_BYTES = 64 << 30
_WANTED = ("inputs", "labels", "class_names")
# What others call them, as Keras, scikit-learn and MedMNIST do; said in the error, not taken.
_ELSEWHERE = {
    "inputs": ("x_test", "test_images", "x", "images", "data", "arr_0"),
    "labels": ("y_test", "test_labels", "y", "targets", "target", "label", "arr_1"),
}


def read(path: Path, class_names: tuple[str, ...] | None = None) -> Content:
    """Read `inputs` `(N, C, H, W)`, `labels` `(N,)` and optional `class_names` `(K,)`; other arrays stay unread.

    Args:
        path: of the file.
        class_names: the model's classes in its order; None for those in the file, or the numbers from 0 to the
            largest label.

    Raises:
        BenchError: if the file is missing, damaged, too large, or lacks an array.
    """
    try:
        found = _read_arrays(path)
    except FileNotFoundError:
        raise BenchError(f"No such data file: {path}.") from None
    except BenchError:
        raise
    except Exception as error:  # numpy and zipfile raise some ten kinds for a file that was cut or changed
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchError(f"Cannot read {path} as .npz without pickles: {reason.rstrip('.')}.") from error
    labels = found["labels"]
    remarks: tuple[str, ...] = ()
    if class_names is not None and "class_names" in found:
        remarks = (f"{path}: the class names are those of --class-names; class_names in the file is not used.",)
    elif "class_names" not in found and labels.dtype.kind in "iu" and labels.size and labels.min() > 0:
        remarks = (f"{path}: no label is 0; a model's classes count from 0, and here from {labels.min()}?",)
    names = class_names if class_names is not None else _class_names(found, path)
    return Content(inputs=found["inputs"], labels=labels, class_names=names, remarks=remarks)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if path.is_dir():
        raise ValueError("it is a folder; for one folder of images per class, use folder:PATH")
    with open_regular(path, most_bytes=_MOST_BYTES) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a zip archive; write it with numpy.savez")
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}
            _check_names(members, path)
            return {name: _read(archive, members[name], name, path) for name in _WANTED if name in members}


def _check_names(members: Mapping[str, object], path: Path) -> None:
    missing = [name for name in _ELSEWHERE if name not in members]
    if not missing:
        return
    lower = {name.lower(): name for name in members}
    hints = []
    for name in missing:
        close = next((each for each in _ELSEWHERE[name] if each in lower), None) or nearest(name, lower)
        if close is not None and lower[close] not in _WANTED:
            hints.append(f"{lower[close]} as {name}")
    hint = f" Save {' and '.join(hints)}." if hints else ""
    listed = ", ".join(f"{name:.40}" for name in list(members)[:5]) or "none"
    raise BenchError(f"{path}: expected the arrays inputs and labels, but found {listed}.{hint}")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, path: Path) -> NDArray[Any]:
    with archive.open(info) as member:
        header = read_array_header(member, name)
    if header.dtype.hasobject:
        raise ValueError(f"{name} has type object, which is pickled; stack its items into one array of numbers or text")
    if info.file_size != header.start + header.n_bytes:
        raise ValueError(f"{name} does not hold the {header.shape} of {header.dtype} that its header promises")
    expect_to_fit(header.shape, itemsize=header.dtype.itemsize, source=f"{name} of {path}")
    with archive.open(info) as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
    return array


def _class_names(found: Mapping[str, NDArray[Any]], path: Path) -> tuple[str, ...]:
    if "class_names" in found:
        names = found["class_names"].ravel().tolist()
        return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)
    labels = found["labels"]
    largest = max(int(labels.max()), -1) if labels.dtype.kind in "iu" and labels.size else -1
    if largest >= MOST_CLASSES:
        raise BenchError(f"{path}: expected labels below {MOST_CLASSES}, or class_names, but got label {largest}.")
    return tuple(str(label) for label in range(largest + 1))
