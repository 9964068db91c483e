from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench import data
from bench.core.errors import BenchError


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path, quality=100)


@pytest.fixture
def root(tmp_path):
    """The official layout with two classes."""
    folder = tmp_path / "tiny-imagenet-200"
    for wordnet_id, value in (("n02", 200), ("n01", 100)):
        for number in (0, 9, 10):
            save(folder / "train" / wordnet_id / "images" / f"{wordnet_id}_{number}.JPEG", value + number)
    save(folder / "val" / "images" / "val_0.JPEG", 20)
    save(folder / "val" / "images" / "val_1.JPEG", 40)
    (folder / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t7\t7\nval_1.JPEG\tn01\t0\t0\t7\t7\n")
    (folder / "wnids.txt").write_text("n02\nn01\n")
    (folder / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn03\tentity\n")
    return tmp_path


def test_reads_annotated_validation_images(root):
    """The test split is the annotated validation part; classes are alphabetical by id."""
    content = data.DATASETS.get("tiny-imagenet").read("test", root)
    assert content.class_names == ("goldfish", "bullfrog")
    assert content.labels.tolist() == [1, 0]
    assert content.inputs[:, 0, 0, 0].tolist() == [20, 40]


def test_reads_train_images_in_numeric_order(root):
    """Class after class, image 9 before image 10."""
    content = data.DATASETS.get("tiny-imagenet").read("train", root)
    assert content.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert content.inputs[:, 0, 0, 0].tolist() == [100, 109, 110, 200, 209, 210]


@pytest.mark.parametrize("line", ["../../secret.JPEG\tn01", "..\tn01", "a\\b\tn01", "val_0.JPEG"])
def test_refuses_annotations_that_lead_elsewhere(root, line):
    """A file name that leaves the folder is refused."""
    (root / "tiny-imagenet-200" / "val" / "val_annotations.txt").write_text(line)
    with pytest.raises(BenchError, match="Expected FILE and WordNet id"):
        data.load("tiny-imagenet", data_dir=root)


def test_refuses_incomplete_data(root):
    """Missing lists, unknown classes and too few images are named."""
    with pytest.raises(BenchError, match="Expected 10000 test examples in tiny-imagenet, but found 2"):
        data.load("tiny-imagenet", data_dir=root)
    folder = root / "tiny-imagenet-200"
    (folder / "wnids.txt").write_text("n01\n")
    with pytest.raises(BenchError, match="Class 'n02'"):
        data.load("tiny-imagenet", data_dir=root)
    (folder / "wnids.txt").unlink()
    with pytest.raises(BenchError, match=r"Cannot read data file .*wnids\.txt"):
        data.load("tiny-imagenet", data_dir=root)


def test_says_where_to_get_it(tmp_path):
    """Without the folder, the message has the address and the option."""
    with pytest.raises(BenchError, match=r"tiny-imagenet-200\.zip.*--data-dir"):
        data.load("tiny-imagenet", data_dir=tmp_path)
