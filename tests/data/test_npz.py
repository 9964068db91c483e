from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from bench import data
from bench.core.errors import BenchError
from bench.data import memory

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
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n")
    found = data.load(str(path), class_names=names)
    assert found.class_names == ("a", "b", "c", "d", "e")
    assert "class_names in the file is not used" in found.remarks[0]


def test_class_names_may_be_bytes_or_numbers(tmp_path):
    """They are names all the same."""
    path = tmp_path / "mine.npz"
    for given in (np.array([b"a", b"b", b"c"]), np.array([7, 8, 9])):
        np.savez(path, inputs=INPUTS, labels=LABELS, class_names=given)
        assert data.load(str(path)).class_names == (("a", "b", "c") if given.dtype.kind == "S" else ("7", "8", "9"))


def test_never_unpickles(tmp_path):
    """A pickle inside or instead of the archive is refused unread."""
    marker = tmp_path / "executed"
    path = tmp_path / "trap.npz"
    traps = np.empty(1, dtype=object)
    traps[0] = Trap(marker)
    np.savez(path, inputs=traps, labels=LABELS)
    with pytest.raises(BenchError, match="without pickles: inputs has type object"):
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
    with pytest.raises(BenchError, match=r"inputs and labels, but found x, y\. Save x as inputs and y as labels"):
        data.load(str(path))
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    with pytest.raises(BenchError, match="use folder:PATH"):
        data.load(str(folder))


def test_refuses_absurd_labels(tmp_path):
    """A label of billions is a mistake, not a number of classes to make room for."""
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=INPUTS, labels=LABELS + 2**40)
    with pytest.raises(BenchError, match=r"mine\.npz: expected labels below 100000"):
        data.load(str(path))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("X_test", "y_test", "X_train"), "Save X_test as inputs and y_test as labels"),
        (("inputs", "targets"), "found inputs, targets. Save targets as labels"),
        (("Inputs", "Label"), "Save Inputs as inputs and Label as labels"),
        (("arr_0", "arr_1"), "Save arr_0 as inputs and arr_1 as labels"),
        (("inputs",), "found inputs.$"),
    ],
)
def test_arrays_of_other_names_are_answered_with_the_right_ones(tmp_path, names, says):
    """Nothing is guessed in silence."""
    path = tmp_path / "mine.npz"
    np.savez(path, **dict.fromkeys(names, INPUTS))
    with pytest.raises(BenchError, match=says):
        data.load(str(path))


def test_other_arrays_are_never_read(tmp_path):
    """A pickle among them, or one that is damaged, harms nothing."""
    path = tmp_path / "mine.npz"
    marker = tmp_path / "executed"
    traps = np.empty(1, dtype=object)
    traps[0] = Trap(marker)
    np.savez(path, inputs=INPUTS, labels=LABELS, notes=traps)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "read me")
        archive.writestr("broken.npy", b"no array")
    assert len(data.load(str(path))) == 3
    assert not marker.exists()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def promising(shape, dtype="|u1"):
    """The header of an array that is not there."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (promising((10**6, 3, 1000, 1000)), "does not hold"),
        (promising((3, 3, 4, 4)) + bytes(143), "does not hold"),
        (promising((3, 3, 4, 4)) + bytes(145), "does not hold"),
        (promising((3, -3, 4, 4)) + bytes(144), "header is damaged"),
        (npy(INPUTS)[:40], "header is damaged"),
    ],
)
def test_a_header_must_account_for_every_byte(tmp_path, inputs, says):
    """Before any memory is taken for what it promises."""
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", inputs)
        archive.writestr("labels.npy", npy(LABELS))
    with pytest.raises(BenchError, match=says):
        data.load(str(path))


def test_more_than_memory_holds_is_refused_unread(tmp_path, monkeypatch):
    """A file of some kilobytes that unpacks to more than there is."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, inputs=np.zeros((40, 3, 100, 100), np.uint8), labels=np.arange(40) % 2)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(memory, "_memory", lambda: 1 << 20)
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with pytest.raises(BenchError, match=r"inputs of .*bomb\.npz: it would take"):
        data.load(str(path))


def test_labels_that_do_not_start_at_0_are_remarked(tmp_path):
    """They may be right, but rarely are."""
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=INPUTS + 100, labels=LABELS + 1)
    (remark,) = data.load(str(path)).remarks
    assert "no label is 0" in remark and "from 1?" in remark
