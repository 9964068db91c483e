"""CIFAR-10: 60,000 colour photographs of 32 x 32 in ten classes (A. Krizhevsky, 2009).

Without data and without a network, the test split is replaced by its own first 20 images, which
foolbox ships as PNG files: enough to see everything work, never enough for a row.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from bench.core.errors import BenchError
from bench.data import cifar, content, images, lookup
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, DatasetSpec, Split
from bench.data.download import NoNetworkError

__all__ = ["ENTRY"]

_CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_SAMPLE_DIGEST = "a9071772404a58744c8f812100e0495c66e600aa2ddb5998c2924fdcfe3a8a2b"


def _read(split: Split, data_dir: Path | None) -> Content:
    from torchvision.datasets import CIFAR10

    try:
        return cifar.read(CIFAR10, split, data_dir)
    except NoNetworkError:
        if split == "train":
            raise
        return _sample(looked_in=lookup.listing(data_dir))


def _sample(*, looked_in: str) -> Content:
    """The first 20 official test images, from the wheel of foolbox."""
    files = _sample_files()
    if not files:
        raise BenchError("foolbox's CIFAR-10 sample is missing. Reinstall foolbox, or name the data with --data-dir.")
    sample = Content(
        inputs=images.read(files),
        labels=np.array([int(file.stem.rpartition("_")[2]) for file in files], dtype=np.int64),
        class_names=_CLASS_NAMES,
        notice=(
            f"{len(files)}-image sample of cifar10: the data is not in {looked_in} and no network answers;"
            " no row is written"
        ),
    )
    if content.digest(sample) != _SAMPLE_DIGEST:
        raise BenchError("foolbox's CIFAR-10 sample is not the official test images. Name the data with --data-dir.")
    return sample


def _sample_files() -> list[Path]:
    """Files named `cifar10_<position>_<label>.png`, in order of position; foolbox is not imported."""
    spec = importlib.util.find_spec("foolbox")
    places = spec.submodule_search_locations if spec else None
    return sorted(file for place in places or () for file in Path(place, "data").glob("cifar10_*_*.png"))


ENTRY = DatasetSpec(
    name="cifar10",
    summary="60,000 colour 32x32 photographs in 10 classes",
    read=_read,
    sizes={"test": 10_000, "train": 50_000},
    threat_models=IMAGE_THREAT_MODELS,
    digests={
        "test": "a0803098ecaada17d8718b521d0d77aee143492e8498562ace8a93b5f693a971",
        "train": "4dff6225314f57a56dc80ed8cda3e4040622a05214cff59976d15f84fe624cbf",
    },
)
