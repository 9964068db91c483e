"""Names of classes in a file, their order, and what to do where a model has others."""

from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.core.errors import BenchError
from bench.data import classes


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"\xef\xbb\xbfcat\r\n tabby cat \r\n\r\n", ("cat", "tabby cat")),
        ("Eichh\u00f6rnchen\n\u732b".encode(), ("Eichh\u00f6rnchen", "\u732b")),
        (b"crane\ncrane", ("crane", "crane")),
    ],
)
def test_one_name_a_line(tmp_path, content, names):
    """Whatever ends the lines; a mark of byte order is none of the name, and a class may share another's name."""
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert classes.read(path) == names


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"a\n" * 100_001, "at most 100,000 class names"),
    ],
)
def test_a_file_that_is_no_list_of_names_is_refused(tmp_path, content, says):
    """An empty line would move all classes after it."""
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(BenchError, match=says) as caught:
        classes.read(path)
    assert "names.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """Missing, or a folder."""
    with pytest.raises(BenchError, match=r"Cannot read class names from .*nowhere: No such file"):
        classes.read(tmp_path / "nowhere")
    with pytest.raises(BenchError, match=r"Cannot read class names from .*: it is a folder"):
        classes.read(tmp_path)


def test_shipped_data_has_names_of_its_own(tmp_path):
    """The option is for data of one's own."""
    with pytest.raises(BenchError, match="leave --class-names out"):
        data.load("digits", class_names=tmp_path / "names.txt")


def _own(tmp_path, labels, **more):
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=np.full((len(labels), 1, 2, 2), 9, np.uint8), labels=np.array(labels), **more)
    return data.load(str(path))


@pytest.mark.parametrize(
    ("labels", "n_logits", "says"),
    [
        ([0, 1, 4], 10, ("from 0 to 4 (3 different ones)", "--class-names FILE, or class_names in the file")),
        ([1, 2, 3], 3, ("from 1 to 3 (3 different ones)", "count from 0: subtract 1")),
        ([0, 1, 255], 3, ("from 0 to 255 (3 different ones)", "no example is of class '2', '3', '4'")),
        ([0, 1, 2], 2, ("from 0 to 2", "Remove what is no class")),
    ],
)
def test_another_number_of_logits_is_answered_with_the_labels(tmp_path, labels, n_logits, says):
    """What was found, and what to do about it."""
    told = classes.advice(_own(tmp_path, labels), n_logits)
    assert all(text in told for text in says), told


def test_of_shipped_data_the_labels_are_right():
    """Then the model is another one, and there is nothing to say."""
    assert classes.advice(data.load("digits"), 3) == ""
