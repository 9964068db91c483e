"""ImageNet (ILSVRC2012): the 50,000 validation images in 1,000 classes, read from torchvision's folder layout.

Source: O. Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575. It is
downloaded by hand, with an account, and unpacked to `val/<WordNet id>/ILSVRC2012_val_<number>.JPEG`. "test" is the
validation part, as in the literature, in the order of the official numbers, so that the first N are a fair sample of
the classes (the order of the folders would begin with fish). Preprocessing: shorter side to 256, centre of 224,
bilinear; models of RobustBench get what they ask for there. Images are decoded when they are needed: memory does not
grow with their number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.data import lookup
from bench.data.dataset import DatasetSpec, FileContent, Split
from bench.data.preprocessing import Preprocessing

__all__ = ["ENTRY", "PREPROCESSING", "THREAT_MODELS", "content_of", "find_numbered"]

PREPROCESSING = Preprocessing(resize=256, crop=224)
# Linf: RobustBench's. L2: Salman et al. (2020), arXiv:2007.08489.
THREAT_MODELS = (ThreatModel.parse("Linf:4/255"), ThreatModel.parse("L2:3"))

_PLACES = ("imagenet/val", "val")
_SIZE = 50_000
_CLASSES = 1000
_FOLDER = re.compile(r"n[0-9]{8}")
_FILE = re.compile(r"ILSVRC2012_val_([0-9]{8})\.JPEG")
_CLASSES_DIGEST = "7449f95d0dcf63a5f0c92c12bcf80b76e5a5a775f49dd4f2d26ddba751a3eaed"


class NumberedImage(NamedTuple):
    """Where an image lies, and its class."""

    path: Path
    label: int


def find_numbered(data_dir: Path | None) -> dict[int, NumberedImage]:
    """Find the validation images, by their official number from 1.

    Raises:
        BenchError: if the folder is missing, or its classes are not those of ImageNet.
    """
    folder = _find(data_dir)
    classes = sorted(entry.name for entry in folder.iterdir() if _FOLDER.fullmatch(entry.name) and entry.is_dir())
    if len(classes) != _CLASSES or digest.of_bytes(*(name.encode() for name in classes)) != _CLASSES_DIGEST:
        raise BenchError(
            f"Expected the 1,000 class folders of ImageNet, such as n01440764, in {folder}, but found {len(classes)}"
            " or others. Sort the images into one folder per WordNet id, as torchvision.datasets.ImageNet does."
        )
    found: dict[int, NumberedImage] = {}
    for label, name in enumerate(classes):
        for path in (folder / name).iterdir():
            match = _FILE.fullmatch(path.name)
            if match is not None:
                found[int(match[1])] = NumberedImage(path, label)
    return found


def _find(data_dir: Path | None) -> Path:
    for place in _PLACES:
        root = lookup.find(place, data_dir=data_dir)
        if root is not None:
            return root / place
    raise BenchError(
        f"imagenet/val is not in {lookup.listing(data_dir)}. Download ILSVRC2012_img_val.tar from image-net.org, sort"
        " it into one folder per class, and name the folder that holds imagenet/val with --data-dir."
    )


def content_of(images: list[NumberedImage]) -> FileContent:
    """The images as a split."""
    from torchvision.models import ResNet50_Weights

    return FileContent(
        files=tuple(image.path for image in images),
        labels=np.array([image.label for image in images], dtype=np.int64),
        class_names=tuple(ResNet50_Weights.DEFAULT.meta["categories"]),
    )


def _read(split: Split, data_dir: Path | None) -> FileContent:
    del split  # there is one
    found = find_numbered(data_dir)
    if len(found) != _SIZE:
        raise BenchError(
            f"Expected {_SIZE} validation images of ImageNet, but found {len(found)}. Unpack ILSVRC2012_img_val.tar"
            " again, or take --dataset imagenet-5000, which needs only those of RobustBench."
        )
    return content_of([found[number] for number in sorted(found)])


ENTRY = DatasetSpec(
    name="imagenet",
    summary="the 50,000 validation photographs of ImageNet, 224x224, 1000 classes, from torchvision's folder",
    read=_read,
    sizes={"test": _SIZE},
    threat_models=THREAT_MODELS,
    preprocessing=PREPROCESSING,
)
