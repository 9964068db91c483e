"""ImageNet's validation part, on folders made for the test."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import data
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import Norm
from bench.data.datasets import imagenet, imagenet_5000

CLASSES = [f"n{number:08d}" for number in range(1000)]


def _jpeg(level: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), level, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _fill(folder: Path, numbers: list[int]) -> None:
    """Image `number` is in class `7 * number % 1000`, and as grey as its number."""
    contents = [_jpeg(level) for level in range(256)]
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for number in numbers:
        (folder / CLASSES[7 * number % 1000] / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(contents[number % 256])


@pytest.fixture(autouse=True)
def made_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes of these folders are taken for the real ones."""
    names = digest.of_bytes(*(name.encode() for name in CLASSES))
    monkeypatch.setattr(imagenet, "_CLASSES_DIGEST", names)


@pytest.mark.parametrize("place", ["imagenet/val", "val"])
def test_examples_come_in_the_order_of_their_official_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Not in that of the folders; other files in them do not count; nothing is decoded before it is needed."""
    _fill(tmp_path / place, list(range(1, 41)))
    (tmp_path / place / CLASSES[7] / "thumbs.db").touch()
    (tmp_path / place / "lists").mkdir()
    monkeypatch.setattr(imagenet, "_SIZE", 40)
    monkeypatch.setitem(imagenet.ENTRY.sizes, "test", 40)
    found = data.load("imagenet", data_dir=tmp_path)
    assert len(found) == 40 and found.shape == (3, 224, 224) and not found.examples.in_memory
    assert found.examples.labels.tolist() == [7 * number % 1000 for number in range(1, 41)]
    assert found.examples.indices.tolist() == list(range(40))
    levels = found.examples[:6].inputs[:, 0, 100, 100] * 255
    assert torch.allclose(levels, torch.arange(1.0, 7.0), atol=1.5)
    assert len(found.class_names) == 1000
    assert (found.class_names[0], found.class_names[999]) == ("tench", "toilet tissue")
    assert str(found.default_threat_model) == "Linf:4/255" and found.threat_models[Norm.L2].epsilon == 3
    assert data.load("imagenet", data_dir=tmp_path).digest == found.digest


def test_the_5000_are_robustbenchs_in_its_order(tmp_path: Path) -> None:
    """They are found among others, and a missing one is named; models are looked up for ImageNet."""
    numbers = list(imagenet_5000.numbers())
    assert len(set(numbers)) == 5000 and min(numbers) >= 1 and max(numbers) <= 50_000
    _fill(tmp_path / "val", sorted({*numbers, 1, 2, 3}))
    found = data.load("imagenet-5000", data_dir=tmp_path)
    assert found.examples.labels.tolist() == [7 * number % 1000 for number in numbers]
    assert found.examples.indices.tolist() == list(range(5000)) and found.base == "imagenet"
    first = numbers[0]
    (tmp_path / "val" / CLASSES[7 * first % 1000] / f"ILSVRC2012_val_{first:08d}.JPEG").unlink()
    with pytest.raises(BenchError, match=f"ILSVRC2012_val_{first:08d}.JPEG is missing"):
        data.load("imagenet-5000", data_dir=tmp_path)


def test_folders_that_are_not_imagenets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None at all, too few, other classes, too few images: one line each."""
    monkeypatch.setenv("BENCH_DATA_DIR", "")
    with pytest.raises(BenchError, match=r"imagenet/val is not in .*ILSVRC2012_img_val\.tar"):
        data.load("imagenet", data_dir=tmp_path)
    _fill(tmp_path / "val", [1, 2])
    with pytest.raises(BenchError, match=r"Expected 50000 validation images of ImageNet, but found 2.*imagenet-5000"):
        data.load("imagenet", data_dir=tmp_path)
    (tmp_path / "val" / "n00000999").rename(tmp_path / "val" / "n00001000")
    with pytest.raises(BenchError, match=r"Expected the 1,000 class folders .* but found 1000 or others"):
        data.load("imagenet", data_dir=tmp_path)


def test_the_pinned_lists_are_those_of_robustbench() -> None:
    """Classes and numbers, where its package is installed."""
    spec = importlib.util.find_spec("robustbench")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("robustbench is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "helper_files"
    listed = (folder / "imagenet_test_image_ids.txt").read_text().split()
    assert imagenet_5000.numbers() == tuple(int(name[-13:-5]) for name in listed)
    labels = json.loads((folder / "imagenet_class_to_id_map.json").read_text())
    assert [labels[name] for name in sorted(labels)] == list(range(1000))
    source = Path(imagenet.__file__).read_text()
    assert digest.of_bytes(*(name.encode() for name in sorted(labels))) in source


def test_a_changed_list_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The subset is what its name says, or nothing."""
    monkeypatch.setattr(imagenet_5000, "_LIST_DIGEST", "0" * 64)
    with pytest.raises(BenchError, match=r"imagenet_5000\.txt of bench was changed"):
        imagenet_5000.numbers()
