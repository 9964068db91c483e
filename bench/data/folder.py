"""A user's own data as images on disk, one folder per class."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.core.errors import BenchError, nearest
from bench.data import classes, images
from bench.data.dataset import Content, FileContent

__all__ = ["listed", "read"]

_NO_CLASSES = frozenset({"__MACOSX", "__pycache__"})
_SPLITS = frozenset({"test", "train", "val", "valid", "validation"})


class _Found(NamedTuple):
    """What lies in a class folder and in all folders inside it, sorted."""

    images: list[Path]
    others: list[Path]


def read(path: Path, class_names: tuple[str, ...] | None = None) -> Content:
    """Read what `listed` finds, images of one size: one channel if every image is grey, else three.

    Raises:
        BenchError: as `listed`, and if an image is damaged or too large, or they are unequal in size.
    """
    found, grey = _found(path, class_names)
    return Content(
        inputs=images.read(found.files, grey=grey),
        labels=found.labels,
        class_names=found.class_names,
        remarks=found.remarks,
    )


def listed(path: Path, class_names: tuple[str, ...] | None = None) -> FileContent:
    """Find `path/CLASS/**/IMAGE`, as torchvision's ImageFolder does; what is hidden is left out.

    Examples take turns between the classes (the first image of each, then the second of each),
    so that the first N are a fair sample.

    Args:
        path: the folder that holds one folder per class.
        class_names: the model's classes in its order, of which the folders may be some; None where the folders are
            all of them: in order of their numbers where they are numbers, else of their names.

    Raises:
        BenchError: if the folder, its classes or their images are missing, or an image's header is damaged.
    """
    return _found(path, class_names)[0]


def _found(path: Path, class_names: tuple[str, ...] | None) -> tuple[FileContent, bool]:
    """What `listed` returns, and whether every image is grey."""
    folders, strays = _look(path)
    ordered, remark = (class_names, None) if class_names is not None else classes.in_order(folders)
    labels = _labels(folders, ordered, path)
    inside = {name: _walk(path / name) for name in folders}
    turns = sorted((rank, labels[name], file) for name in folders for rank, file in enumerate(inside[name].images))
    if not turns:
        known = ", ".join(sorted(images.SUFFIXES))
        only = [str(file.relative_to(path)) for each in inside.values() for file in each.others]
        but = f"but found only {_few(only)}" if only else "but it has none"
        raise BenchError(f"Expected images ({known}) in the class folders of {path}, {but}.")
    files = [file for _, _, file in turns]
    look = images.survey(files)
    others = [*strays, *(file for each in inside.values() for file in each.others)]
    nested = [file for name in folders for file in inside[name].images if file.parent != path / name]
    empty = [f"{name} (class {label})" for name, label in labels.items() if not inside[name].images]
    remarks = (
        remark or "",
        _listed("Left out, since they are no images of a class:", others, path),
        _listed("Images in folders inside a class folder count to the class:", nested, path),
        f"Classes without images keep their place: {_few(empty)}." if empty else "",
        f"The folders are {len(folders)} of {len(ordered)} classes." if len(folders) < len(ordered) else "",
        *look.remarks,
    )
    content = FileContent(
        files=tuple(files),
        labels=np.array([label for _, label, _ in turns], dtype=np.int64),
        class_names=ordered,
        remarks=tuple(filter(None, remarks)),
    )
    return content, look.grey


def _look(path: Path) -> tuple[list[str], list[Path]]:
    """Names of the class folders, and the files beside them."""
    if not path.is_dir():
        raise BenchError(f"No such data folder: {path}.")
    try:
        entries = sorted(entry for entry in path.iterdir() if not _is_passed_over(entry.name))
    except OSError as error:
        raise BenchError(f"Cannot read data folder {path}: {error.strerror or error}.") from error
    folders = [entry.name for entry in entries if entry.is_dir()]
    if not folders:
        raise BenchError(f"Expected one folder of images per class in {path}, but it has no folders.")
    if _SPLITS.issuperset(name.lower() for name in folders):
        raise BenchError(
            f"Expected one folder of images per class in {path}, but found splits: {', '.join(folders)}."
            f" Name one of them: folder:{path / folders[0]}"
        )
    return folders, [entry for entry in entries if not entry.is_dir()]


def _labels(folders: Sequence[str], ordered: Sequence[str], path: Path) -> dict[str, int]:
    """The number of each class folder.

    Raises:
        BenchError: if one is not among the names, or more than once.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(ordered):
        places.setdefault(unicodedata.normalize("NFC", name), []).append(place)
    labels = {}
    for folder in folders:
        found = places.get(unicodedata.normalize("NFC", folder), [])
        if not found:
            close = nearest(folder, ordered)
            hint = f" Did you mean {close!r}?" if close else ""
            raise BenchError(f"Class folder {folder!r} of {path} is not among the {len(ordered)} class names.{hint}")
        if len(found) > 1:
            lines = " and ".join(str(place + 1) for place in found[:2])
            raise BenchError(f"Class folder {folder!r} of {path} is named twice among the class names: lines {lines}.")
        labels[folder] = found[0]
    return labels


def _walk(folder: Path) -> _Found:
    found = _Found([], [])
    seen = set()
    for here, inner, names in os.walk(folder, followlinks=True, onerror=_refuse):
        seen.add(os.path.realpath(here))
        inner[:] = [
            name
            for name in inner
            if not _is_passed_over(name) and os.path.realpath(Path(here, name)) not in seen  # a link that leads back
        ]
        for name in names:
            if not _is_passed_over(name):
                file = Path(here, name)
                (found.images if file.suffix.lower() in images.SUFFIXES else found.others).append(file)
    return _Found(sorted(found.images), sorted(found.others))


def _refuse(error: OSError) -> None:
    raise BenchError(f"Cannot read data folder {error.filename}: {error.strerror or error}.") from error


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in _NO_CLASSES


def _listed(what: str, files: Sequence[Path], root: Path) -> str:
    return f"{what} {_few([str(file.relative_to(root)) for file in files])}" if files else ""


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
