from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core.errors import BenchError
from bench.data import content
from bench.data.dataset import Content


def make(inputs, labels=(0, 1), classes=2):
    return Content(np.asarray(inputs), np.asarray(labels), tuple(str(name) for name in range(classes)))


BYTES = np.arange(2 * 1 * 2 * 4, dtype=np.uint8).reshape(2, 1, 2, 4) * 17


def test_a_byte_k_becomes_k_over_255():
    """All 256 levels equal torch's own division, bit for bit."""
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    examples = content.to_examples(make(levels, [0]))
    assert examples.inputs.dtype == torch.float32
    assert torch.equal(examples.inputs.flatten(), torch.arange(256, dtype=torch.float32) / 255)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_images_same_digest(dtype):
    """Bytes and their float form count as the same data."""
    assert content.digest(make(BYTES / dtype(255))) == content.digest(make(BYTES))


def test_digest_sees_inputs_labels_order_and_shape():
    """Any change of the data changes the digest."""
    changed = BYTES.copy()
    changed[1, 0, 1, 3] ^= 1
    variants = [make(BYTES), make(changed), make(BYTES, [1, 0]), make(BYTES[::-1]), make(BYTES.reshape(2, 1, 4, 2))]
    assert len({content.digest(variant) for variant in variants}) == len(variants)


def test_digest_keeps_what_bytes_cannot_hold():
    """Floats between the byte levels count in full."""
    floats = np.full((2, 1, 2, 2), 0.3, np.float32)
    assert content.digest(make(floats)) != content.digest(make(np.nextafter(floats, np.float32(1))))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (make(BYTES[:, 0]), r"shape \(N, C, H, W\)"),
        (make(BYTES[:0], []), "none of them 0"),
        (make(np.zeros((2, 8, 8, 3), np.uint8)), r"looks like \(N, H, W, C\)"),
        (make(np.zeros((2, 5, 8, 8), np.uint8)), "1 or 3 channels"),
        (make(BYTES.astype(np.int32)), "got type int32"),
        (make(BYTES.astype(np.float32)), r"from 0 to 255. Divide by 255"),
        (make(BYTES / np.float32(-255)), r"expected inputs in \[0, 1\]"),
        (make(np.full((2, 1, 2, 2), np.nan)), r"from nan to nan"),
        (make(BYTES, [0]), "expected 2 labels"),
        (make(BYTES, [[0, 1]]), "expected 2 labels"),
        (make(BYTES, [0.0, 1.0]), "integer labels"),
        (make(BYTES, [0, 2]), "from 0 to 1, but label 2 of example 1 is out of range"),
        (make(BYTES, [-1, 0]), "label -1 of example 0 is out of range"),
        (make(BYTES, np.array([0, 2**64 - 1], np.uint64)), "out of range"),
    ],
)
def test_refuses_unusable_content(bad, message):
    """Wrong shape, type or range gets one line that says what was expected."""
    with pytest.raises(BenchError, match=message) as caught:
        content.check(bad, source="here")
    assert "\n" not in str(caught.value)
