"""Handwritten digits as scikit-learn ships them: 1,797 grey images of 8 x 8, no download.

Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, test part. It has no official split. OUR CHOICE: the last 36 images of each
class are the test split (360 images), the other 1,437 the train split, both in the original order,
which goes from writer to writer, so that the test split is mostly by writers unseen in training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.types import ThreatModel
from bench.data.dataset import Content, DatasetSpec, Split

__all__ = ["ENTRY"]

_CLASSES = 10
_TEST_PER_CLASS = 36
_WHITE = 16  # pixels count the ink in blocks of 4 x 4


def _read(split: Split, data_dir: Path | None) -> Content:
    del data_dir  # it comes with scikit-learn
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = np.asarray(bunch.target, dtype=np.int64)
    test = _test_positions(labels)
    chosen = test if split == "test" else np.setdiff1d(np.arange(len(labels)), test)
    inputs = np.asarray(bunch.images, dtype=np.float32)[:, None] / np.float32(_WHITE)
    return Content(
        inputs=inputs[chosen],  # (N, 1, 8, 8)
        labels=labels[chosen],
        class_names=tuple(str(digit) for digit in range(_CLASSES)),
    )


def _test_positions(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the last images of each class, ascending."""
    return np.sort(np.concatenate([np.flatnonzero(labels == digit)[-_TEST_PER_CLASS:] for digit in range(_CLASSES)]))


ENTRY = DatasetSpec(
    name="digits",
    summary="1,797 grey 8x8 handwritten digits from scikit-learn; needs no download",
    read=_read,
    sizes={"test": 360, "train": 1437},
    # OUR CHOICE: at 1/10 a standard model breaks and an adversarially trained one holds; 1/4 in L2 is about as hard.
    threat_models=(ThreatModel.parse("Linf:1/10"), ThreatModel.parse("L2:1/4")),
    digests={
        "test": "f7ff514ce02f36e74aa8027bc2def249c17894a2dbd87d3814ae4d2b073d4aed",
        "train": "adac6353e17ff8267f38cd2c276a1b1a1d3437bbb569860c3b7faf786cc515b6",
    },
)
