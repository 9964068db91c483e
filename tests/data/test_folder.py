from __future__ import annotations

import numpy as np
import pytest
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
    save(tmp_path / "a" / "0.png", 7, mode="L")
    assert data.load(f"folder:{tmp_path}").shape == (1, 4, 4)
    save(tmp_path / "b" / "0.png", 7)
    assert data.load(f"folder:{tmp_path}").shape == (3, 4, 4)


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
    with pytest.raises(BenchError, match=r"empty has none"):
        data.load(f"folder:{tmp_path}")
