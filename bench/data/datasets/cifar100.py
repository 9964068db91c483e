"""CIFAR-100: 60,000 colour photographs of 32 x 32 in a hundred fine classes (A. Krizhevsky, 2009)."""

from __future__ import annotations

from pathlib import Path

from bench.data import cifar
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, DatasetSpec, Split

__all__ = ["ENTRY"]


def _read(split: Split, data_dir: Path | None) -> Content:
    from torchvision.datasets import CIFAR100

    return cifar.read(CIFAR100, split, data_dir)


ENTRY = DatasetSpec(
    name="cifar100",
    summary="60,000 colour 32x32 photographs in 100 classes",
    read=_read,
    sizes={"test": 10_000, "train": 50_000},
    threat_models=IMAGE_THREAT_MODELS,
)
