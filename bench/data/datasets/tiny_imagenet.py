"""Tiny ImageNet: 110,000 labelled colour photographs of 64 x 64 in 200 classes (Stanford CS231n, 2015).

Read from the official folder, unpacked: `tiny-imagenet-200/` with `wnids.txt`, `words.txt`, `train/` and
`val/`. The official test part has no labels, so "test" is the official validation part, as in the literature,
in the order of its annotations. OUR CHOICE: classes in alphabetical order of their WordNet ids (as
torchvision's ImageFolder numbers them), not in that of `wnids.txt`. The train split takes 4.6 GiB in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.errors import BenchError
from bench.data import images, lookup
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, DatasetSpec, Split
from bench.storage import read_regular

__all__ = ["ENTRY"]

_FOLDER = "tiny-imagenet-200"
_MOST_BYTES = 16 << 20


def _read(split: Split, data_dir: Path | None) -> Content:
    root = lookup.find(_FOLDER, data_dir=data_dir)
    if root is None:
        raise BenchError(
            f"{_FOLDER} is not in {lookup.listing(data_dir)}. Unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip"
            " there, or name the folder that holds it with --data-dir."
        )
    folder = root / _FOLDER
    classes = sorted(_lines(folder / "wnids.txt"))
    found = _annotated(folder / "val") if split == "test" else _by_class(folder / "train", classes)
    labels = {wordnet_id: label for label, wordnet_id in enumerate(classes)}
    unknown = next((wordnet_id for _, wordnet_id in found if wordnet_id not in labels), None)
    if unknown is not None:
        raise BenchError(f"Class {unknown!r} of {folder / 'val'} is not in {folder / 'wnids.txt'}.")
    if not found:
        raise BenchError(f"Expected images in {folder}, but the {split} split has none. Unpack the archive again.")
    return Content(
        inputs=images.read([file for file, _ in found]),
        labels=np.array([labels[wordnet_id] for _, wordnet_id in found], dtype=np.int64),
        class_names=_class_names(folder / "words.txt", classes),
    )


def _annotated(folder: Path) -> list[tuple[Path, str]]:
    """Files and WordNet ids of the validation part; a file name that leads elsewhere is refused."""
    annotations = folder / "val_annotations.txt"
    found = []
    for line in _lines(annotations):
        name, _, rest = line.partition("\t")
        if name in ("", ".", "..") or "/" in name or "\\" in name or not rest:
            raise BenchError(f"Expected FILE and WordNet id in {annotations}, but got the line {line!r}.")
        found.append((folder / "images" / name, rest.partition("\t")[0]))
    return found


def _by_class(folder: Path, classes: list[str]) -> list[tuple[Path, str]]:
    """Files and WordNet ids of the train part, class after class."""
    return [
        (file, wordnet_id)
        for wordnet_id in classes
        for file in sorted((folder / wordnet_id / "images").glob("*.JPEG"), key=_position)
    ]


def _position(file: Path) -> tuple[int, str]:
    """Sort `n01443537_9.JPEG` before `n01443537_10.JPEG`."""
    return len(file.name), file.name


def _class_names(words: Path, classes: list[str]) -> tuple[str, ...]:
    """The first word for each WordNet id."""
    pairs = (line.partition("\t") for line in _lines(words))
    names = {wordnet_id: text.partition(",")[0] for wordnet_id, _, text in pairs}
    return tuple(names.get(wordnet_id, wordnet_id) for wordnet_id in classes)


def _lines(path: Path) -> list[str]:
    try:
        text = read_regular(path, most_bytes=_MOST_BYTES).decode()
        return [line for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"Cannot read data file {path}. Unpack the archive again.") from error


ENTRY = DatasetSpec(
    name="tiny-imagenet",
    summary="110,000 colour 64x64 photographs in 200 classes, from the official folder",
    read=_read,
    sizes={"test": 10_000, "train": 100_000},
    threat_models=IMAGE_THREAT_MODELS,
)
