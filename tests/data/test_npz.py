from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from bench import data
from bench.core.errors import BenchError

INPUTS = np.arange(3 * 3 * 4 * 4, dtype=np.uint8).reshape(3, 3, 4, 4)
LABELS = np.array([2, 0, 1])


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_reads_inputs_and_labels(tmp_path):
    """Arrays come back as examples, with numbers for class names and image threat models."""
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=INPUTS, labels=LABELS)
    dataset = data.load(str(path))
    assert (dataset.examples.inputs.numpy() * 255).round().tolist() == INPUTS.tolist()
    assert dataset.examples.labels.tolist() == LABELS.tolist()
    assert dataset.class_names == ("0", "1", "2")
    assert str(dataset.default_threat_model) == "Linf:8/255"
    assert dataset.notice is None


def test_class_names_set_the_number_of_classes(tmp_path):
    """Named classes count even where no example has them; a label beyond them is refused."""
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=INPUTS, labels=LABELS, class_names=["a", "b", "c", "d"])
    assert data.load(str(path)).num_classes == 4
    np.savez(path, inputs=INPUTS, labels=LABELS, class_names=["a", "b"])
    with pytest.raises(BenchError, match="label 2 of example 0 is out of range"):
        data.load(str(path))


def test_never_unpickles(tmp_path):
    """A pickle inside or instead of the archive is refused unread."""
    marker = tmp_path / "executed"
    path = tmp_path / "trap.npz"
    traps = np.empty(1, dtype=object)
    traps[0] = Trap(marker)
    np.savez(path, inputs=traps, labels=LABELS)
    with pytest.raises(BenchError, match="without pickles"):
        data.load(str(path))
    path.write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(BenchError, match="not a zip archive"):
        data.load(str(path))
    assert not marker.exists()


def truncated():
    file = io.BytesIO()
    np.savez(file, inputs=INPUTS, labels=LABELS)
    return file.getvalue()[:-40]


def flipped():
    file = io.BytesIO()
    np.savez(file, inputs=INPUTS, labels=LABELS)
    raw = bytearray(file.getvalue())
    raw[200] ^= 255
    return bytes(raw)


def text_member():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inputs", "not an array")
        archive.writestr("labels", "not an array")
    return file.getvalue()


@pytest.mark.parametrize("raw", [b"", b"text", truncated(), flipped(), text_member()])
def test_refuses_a_damaged_file(tmp_path, raw):
    """A damaged file gets one line with its path."""
    path = tmp_path / "bad.npz"
    path.write_bytes(raw)
    with pytest.raises(BenchError, match=r"bad\.npz") as caught:
        data.load(str(path))
    assert "\n" not in str(caught.value)


def test_names_missing_files_and_arrays(tmp_path):
    """A missing file, a folder or a missing array is named."""
    path = tmp_path / "mine.npz"
    with pytest.raises(BenchError, match="No such data file"):
        data.load(str(path))
    np.savez(path, x=INPUTS, y=LABELS)
    with pytest.raises(BenchError, match="arrays inputs and labels, but found x, y"):
        data.load(str(path))
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    with pytest.raises(BenchError, match="use folder:PATH"):
        data.load(str(folder))


def test_refuses_absurd_labels(tmp_path):
    """A label of billions is a mistake, not a number of classes to make room for."""
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=INPUTS, labels=LABELS + 2**40)
    with pytest.raises(BenchError, match="labels below 100000"):
        data.load(str(path))
