"""SVHN: house numbers from street views, cropped to one digit of 32 x 32 (Y. Netzer et al., 2011)."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BenchError
from bench.data import download, lookup
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, DatasetSpec, Split

__all__ = ["ENTRY"]


def _read(split: Split, data_dir: Path | None) -> Content:
    from torchvision.datasets import SVHN

    filename = SVHN.split_list[split][1]
    root = lookup.find(filename, data_dir=data_dir)
    if root is None:
        root = lookup.folders(data_dir)[0]
        download.fetch(
            filename,
            into=root,
            download=lambda scratch: SVHN(scratch, split=split, download=True),
            looked_in=lookup.listing(data_dir),
        )
    try:
        loaded = SVHN(root, split=split)
    except (RuntimeError, OSError) as error:  # raised before the file is parsed
        path = root / filename
        raise BenchError(f"Damaged data file {path}: wrong MD5. Delete it and run again to download it.") from error
    return Content(inputs=loaded.data, labels=loaded.labels, class_names=tuple(str(digit) for digit in range(10)))


ENTRY = DatasetSpec(
    name="svhn",
    summary="99,289 colour 32x32 house-number digits",
    read=_read,
    sizes={"test": 26_032, "train": 73_257},
    threat_models=IMAGE_THREAT_MODELS,
)
