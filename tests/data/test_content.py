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
        (make(np.zeros((2, 8, 8, 4), np.uint8)), r"looks like \(N, H, W, C\): inputs.transpose\(0, 3, 1, 2\)"),
        (make(np.zeros((2, 8, 8, 13), np.uint8)), r"looks like \(N, H, W, C\)"),
        (make(np.zeros((2, 8, 8), np.uint8)), r"inputs\[:, None\]"),
        (make(BYTES.astype(np.int32)), r"got type int32 from 0 to 255: take inputs.astype\('uint8'\)"),
        (make(BYTES.astype(np.int16) * 5), "got type int16 from 0 to 1275"),
        (make(BYTES > 100), r"got type bool from 0 to 1: take inputs.astype\('float32'\)"),
        (make(BYTES.astype(complex)), "got type complex128"),
        (make(BYTES.astype(np.float32)), r"from 0 to 255. Divide by the value of white \(255"),
        (make(BYTES.astype(np.float32) / 16), r"from 0 to 15.9375. Divide by the value of white"),
        (make(BYTES.astype(np.float32) * 257), r"from 0 to 65535. Divide by the value of white \(65535"),
        (make(BYTES / np.float32(127.5) - 1), r"from -1 to 1. Undo the scaling .* \(inputs \+ 1\) / 2"),
        (make((BYTES / np.float32(255) - 0.45) / 0.225), r"from -2 to 2.4444\d*. .* inputs \* std \+ mean"),
        (make(BYTES / np.float32(255) + np.float32(0.01)), r"from 0.0099999997\d* to 1.00999999. .* clip"),
        (make(np.array([1.0] * 9 + [np.nan, np.inf, 0.5]).reshape(2, 1, 2, 3)), r"got nan at \[1, 0, 1, 0\]; 2 of 12"),
        (make(BYTES, [0]), r"expected 2 labels of shape \(2,\), but got shape \(1,\)"),
        (make(BYTES, [[0], [1]]), r"labels.ravel\(\)"),
        (make(BYTES, [[0, 1], [1, 0]]), r"One-hot labels are numbers by labels.argmax\(1\)"),
        (make(BYTES, [0.0, 1.0]), r"type float64, such as 0.0. Take labels.astype\('int64'\)"),
        (make(BYTES, [0.5, 1.0]), "type float64, such as 0.5. Give each example the number"),
        (make(BYTES, [True, False]), r"type bool, such as True. Take labels.astype"),
        (make(BYTES, ["cat", "dog"]), "such as 'cat'. .* class_names"),
        (make(BYTES, [0, 2]), "from 0 to 1, one for each of 2 classes, but label 2 of example 1 .* --class-names FILE"),
        (make(BYTES, [2, 1]), "label 2 of example 0 .* run from 1 to 2. Where they count from 1, subtract 1"),
        (make(BYTES, [-1, 0]), "label -1 of example 0 .* from -1 to 0. Where they count from -1, add 1"),
        (make(BYTES, np.array([0, 2**64 - 1], np.uint64)), "out of range"),
        (make(BYTES, np.array([0, 1], np.uint8) - np.uint8(1)), "label 255 of example 0 is out of range"),
        (make(BYTES, [0, 0], classes=1), "at least 2 classes, but all 2 labels are 0. .* --class-names FILE"),
    ],
)
def test_refuses_unusable_content(bad, message):
    """Wrong shape, type or range gets one line that says what was expected."""
    with pytest.raises(BenchError, match=message) as caught:
        content.checked(bad, source="here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("low", "high"), [(0, 1 + 2.4e-7), (-1e-9, 1), (-9e-5, 1 + 9e-5)])
def test_an_excess_of_rounding_size_is_clipped_aloud(low, high):
    """Both ends; the numbers are said with the digits that tell them from 0 and 1."""
    inputs = np.linspace(low, high, 8, dtype=np.float32).reshape(2, 1, 2, 2)
    found = content.checked(make(inputs), source="here")
    assert found.inputs.min() >= 0 and found.inputs.max() <= 1
    assert np.abs(found.inputs - inputs).max() <= 1e-4
    (remark,) = found.remarks
    assert f"clipped to [0, 1], since values from {float(inputs.min()):.9g} to {float(inputs.max()):.9g}" in remark


def test_what_is_in_range_is_left_as_it_is():
    """No remark, and the very array; four channels are as good as three."""
    for inputs in (BYTES, BYTES / np.float32(255), np.full((2, 4, 5, 6), 200, np.uint8)):
        found = content.checked(make(inputs), source="here")
        assert found.inputs is inputs and found.remarks == ()


@pytest.mark.parametrize(
    "inputs", [BYTES // 255, BYTES // 16, BYTES // 16 / np.float32(255), BYTES / np.float32(255**2)]
)
def test_almost_black_images_are_remarked(inputs):
    """Bits or 16 levels kept as bytes, or bytes that were divided twice."""
    assert "almost black" in content.checked(make(inputs), source="here").remarks[0]


@pytest.mark.parametrize("dtype", [">f4", "<f8", "f2", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_byte_order_and_layout_change_no_pixel(dtype, order):
    """Big-endian, half and double precision, columns first: the same examples and the same digest."""
    halves = np.array([0, 0.25, 0.5, 0.75, 1, 0, 1, 0.5], np.float32).reshape(2, 1, 2, 2)
    plain, other = make(halves), make(np.asarray(halves, dtype=dtype, order=order), np.array([0, 1], ">i8"))
    found = content.to_examples(content.checked(other, source="here"))
    assert torch.equal(found.inputs, torch.from_numpy(halves)) and found.labels.tolist() == [0, 1]
    assert content.digest(other) == content.digest(plain)
