from __future__ import annotations

import os
import re
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from bench import data
from bench.core.errors import BenchError


def save(path, value=0, *, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(np.full(shape, value, np.uint16 if mode == "I;16" else np.uint8)).save(path)


def test_reads_one_folder_per_class_in_turns(tmp_path):
    """Classes are alphabetical and take turns, so that the first N are a fair sample."""
    for name, values in {"dog": (30, 40, 50), "cat": (10, 20)}.items():
        for number, value in enumerate(values):
            save(tmp_path / name / f"{number}.png", value)
    save(tmp_path / ".hidden" / "0.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.examples.labels.tolist() == [0, 1, 0, 1, 1]
    assert (dataset.examples.inputs[:, 0, 0, 0] * 255).round().tolist() == [10, 30, 20, 40, 50]
    assert dataset.shape == (3, 4, 4)


def test_grey_images_keep_one_channel(tmp_path):
    """Grey stays grey, unless a colour image is among them."""
    save(tmp_path / "a" / "0.png", 70, mode="L")
    save(tmp_path / "b" / "0.png", 70, mode="L")
    grey = data.load(f"folder:{tmp_path}")
    assert grey.shape == (1, 4, 4) and grey.remarks == ()
    save(tmp_path / "b" / "1.png", 70)
    mixed = data.load(f"folder:{tmp_path}")
    assert mixed.shape == (3, 4, 4) and "2 of 3 images are grey" in mixed.remarks[0]


def test_the_same_images_have_the_same_digest_in_a_file(tmp_path):
    """A folder and an npz file with the same content are the same data."""
    save(tmp_path / "a" / "0.png", 7)
    save(tmp_path / "b" / "0.png", 9)
    np.savez(
        tmp_path / "same.npz",
        inputs=np.stack([np.full((3, 4, 4), value, np.uint8) for value in (7, 9)]),
        labels=np.array([0, 1]),
    )
    assert data.load(f"folder:{tmp_path}").digest == data.load(str(tmp_path / "same.npz")).digest


def test_refuses_images_of_different_sizes(tmp_path):
    """Two sizes: both files and sizes are named."""
    save(tmp_path / "a" / "0.png")
    save(tmp_path / "b" / "0.png", size=(5, 4))
    with pytest.raises(BenchError, match=r"a.0\.png has 4x4 and .*b.0\.png has 5x4"):
        data.load(f"folder:{tmp_path}")


def test_refuses_deep_images(tmp_path):
    """16 bits per channel would be clipped, so they are refused."""
    save(tmp_path / "a" / "0.png", 1000, mode="I;16")
    with pytest.raises(BenchError, match="8 bits per channel"):
        data.load(f"folder:{tmp_path}")


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_refuses_a_damaged_image(tmp_path, keep):
    """A file that does not decode is named."""
    rng = np.random.default_rng(0)
    path = tmp_path / "a" / "0.png"
    path.parent.mkdir()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BenchError, match=r"Cannot read .*0\.png as an image"):
        data.load(f"folder:{tmp_path}")


def test_refuses_a_folder_without_images(tmp_path):
    """No folder, no classes, no images: each says what is expected."""
    with pytest.raises(BenchError, match="No such data folder"):
        data.load(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(BenchError, match="one folder of images per class"):
        data.load(f"folder:{tmp_path}")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".empty").mkdir()
    with pytest.raises(BenchError, match=r"but it has none"):
        data.load(f"folder:{tmp_path}")
    (tmp_path / "empty" / "0.gif").touch()
    with pytest.raises(BenchError, match=r"but found only empty.0\.gif"):
        data.load(f"folder:{tmp_path}")


def filled(root, names):
    """A folder with one image in each class; the image's grey is the place of the class in `names`, times 20."""
    for place, name in enumerate(names):
        save(root / name / "0.png", 20 * place, mode="L")
    return root


def levels(dataset):
    """The greys of the images, by label."""
    order = dataset.examples.labels.argsort()
    return (dataset.examples.inputs[order][:, 0, 0, 0] * 255).round().int().tolist()


def names_file(path, names):
    path.write_text("\n".join(names) + "\n")
    return path


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([str(number) for number in range(12)], "ordered by number: class 2 is '2'; as text, .* it would be '10'"),
        (["7", "8", "9", "10"], "ordered by number: class 0 is '7'"),
        ([f"{number:02}" for number in range(12)], None),
        ([f"class_{number}" for number in (1, 10, 11, 2)], "ordered as text, .*: class 1 is 'class_10'; .* 'class_2'"),
        (["a10", "a9", "b"], "ordered as text"),
        (["01", "1", "2"], None),
        (["Zebra", "apple"], None),
        (["n01440764", "n02", "n10"], "ordered as text"),
    ],
)
def test_the_order_of_classes_is_the_expected_one_or_said(tmp_path, names, says):
    """Numbers go by value, all else as text; where the two differ, the user hears which was taken."""
    dataset = data.load(f"folder:{filled(tmp_path, names)}")
    assert dataset.class_names == tuple(names)
    assert levels(dataset) == [20 * place for place in range(len(names))]
    if says is None:
        assert dataset.remarks == ()
    else:
        (remark,) = dataset.remarks
        assert re.search(says, remark) and "--class-names FILE" in remark


def test_class_names_give_the_order_and_the_classes_that_are_missing(tmp_path):
    """A part of the model's classes keeps the model's numbers, whatever order the folders have."""
    folder = filled(tmp_path / "images", ["dog", "cat", "eel", "café"])
    names = ["cat", "bat", "dog", "ant", "cafe\N{COMBINING ACUTE ACCENT}", "eel"]
    dataset = data.load(f"folder:{folder}", class_names=names_file(tmp_path / "names.txt", names))
    assert dataset.class_names == tuple(names) and dataset.num_classes == 6
    assert sorted(dataset.examples.labels.tolist()) == [0, 2, 4, 5]
    assert levels(dataset) == [20, 0, 60, 40]
    assert dataset.remarks == ("The folders are 4 of 6 classes.",)
    assert dataset.digest != data.load(f"folder:{folder}").digest


def test_a_folder_that_is_no_class_is_named(tmp_path):
    """With the nearest name; a name that stands for two classes says their lines."""
    folder = filled(tmp_path / "images", ["crane", "heron"])
    with pytest.raises(BenchError, match=r"'heron' of .* not among the 2 class names\. Did you mean 'herons'"):
        data.load(f"folder:{folder}", class_names=names_file(tmp_path / "names.txt", ["crane", "herons"]))
    with pytest.raises(BenchError, match=r"'crane' of .* named twice .* lines 1 and 3"):
        data.load(f"folder:{folder}", class_names=names_file(tmp_path / "names.txt", ["crane", "heron", "crane"]))


def test_one_class_needs_the_model_s_others(tmp_path):
    """Alone there is nothing to mistake it for; named among others it is data like any."""
    folder = filled(tmp_path / "images", ["dog"])
    with pytest.raises(BenchError, match="at least 2 classes"):
        data.load(f"folder:{folder}")
    one = data.load(f"folder:{folder}", class_names=names_file(tmp_path / "names.txt", ["cat", "dog"]))
    assert one.examples.labels.tolist() == [1]


def test_images_in_inner_folders_count_and_are_remarked(tmp_path):
    """As ImageFolder counts them; a link that leads back is followed once."""
    save(tmp_path / "a" / "0.png", 50)
    save(tmp_path / "a" / "inner" / "deep" / "1.png", 60)
    save(tmp_path / "a" / ".hidden" / "2.png", 70)
    save(tmp_path / "b" / "0.png", 80)
    (tmp_path / "a" / "inner" / "back").symlink_to(tmp_path / "a")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.examples.labels.tolist() == [0, 1, 0] and levels(dataset) == [50, 60, 80]
    (remark,) = dataset.remarks
    assert "inside a class folder count" in remark and "1.png" in remark


def test_whatever_is_left_out_is_said(tmp_path):
    """Files that are no images, images outside of class folders, empty classes; only what is hidden goes unsaid."""
    filled(tmp_path, ["a", "c"])
    (tmp_path / "b").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "a" / ".DS_Store").touch()
    (tmp_path / "a" / "Thumbs.db").touch()
    save(tmp_path / "stray.png")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ("a", "b", "c") and dataset.examples.labels.tolist() == [0, 2]
    left, empty = dataset.remarks
    assert "stray.png, a/Thumbs.db" in left.replace("\\", "/")
    assert empty == "Classes without images keep their place: b (class 1)."


def test_splits_are_no_classes(tmp_path):
    """A folder of splits is answered with one of them."""
    save(tmp_path / "test" / "cat" / "0.png")
    save(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(BenchError, match=r"found splits: test, train\. Name one of them: folder:.*test"):
        data.load(f"folder:{tmp_path}")


def test_a_path_without_its_prefix_is_answered_with_it(tmp_path, monkeypatch):
    """The form that is meant."""
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "images", ["a", "b"])
    with pytest.raises(BenchError, match="is folder:images"):
        data.load("images")


def test_only_the_formats_that_are_named_are_tried(tmp_path, monkeypatch):
    """An EPS file named like a PNG starts no Ghostscript; a pipe is not waited for, and many pixels are not decoded."""
    save(tmp_path / "a" / "0.png", 7)
    path = tmp_path / "b" / "0.png"
    path.parent.mkdir()
    Image.new("RGB", (4, 4)).save(path, "EPS")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(BenchError, match=r"0\.png as an image"):
        data.load(f"folder:{tmp_path}")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BenchError, match=r"0\.png as an image: it is a named pipe"):
        data.load(f"folder:{tmp_path}")
    path.unlink()
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(BenchError, match=r"pixels|damaged"):
        data.load(f"folder:{tmp_path}")


def test_a_models_preprocessing_takes_images_of_any_size(tmp_path):
    """Pixels are made when they are needed, in the model's size, and are part of what the data is."""
    save(tmp_path / "cat" / "0.png", 10, size=(30, 20))
    save(tmp_path / "dog" / "0.png", 20, size=(8, 40), mode="L")
    prepare = data.Preprocessing(resize=6, crop=4)
    dataset = data.load(f"folder:{tmp_path}", preprocessing=prepare)
    assert dataset.preprocessing == prepare
    assert not dataset.examples.in_memory
    assert dataset.examples.inputs.shape == (2, 3, 4, 4)
    assert torch.equal(dataset.examples.inputs.mul(255).round().flatten(1)[:, 0], torch.tensor([10.0, 20.0]))
    other = data.load(f"folder:{tmp_path}", preprocessing=data.Preprocessing(resize=5, crop=4))
    assert other.name != dataset.name
    with pytest.raises(BenchError, match="images of one size"):
        data.load(f"folder:{tmp_path}")
    for file in (tmp_path / "dog").iterdir():
        file.unlink()
    (tmp_path / "dog").rmdir()
    with pytest.raises(BenchError, match="at least 2 classes"):
        data.load(f"folder:{tmp_path}", preprocessing=prepare)
