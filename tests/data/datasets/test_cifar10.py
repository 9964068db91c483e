from __future__ import annotations

import pickle
import shutil

import pytest
import torch

from bench import data
from bench.core.errors import BenchError
from bench.data import download

FOLDER = "cifar-10-batches-py"


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No data anywhere, and every connection is refused."""
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path / "cache"))
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache" / "data"


def test_reads_the_official_test_split(cifar10_dir):
    """10,000 balanced images, pinned by digest, with the field's threat models."""
    dataset = data.load("cifar10", data_dir=cifar10_dir)
    assert dataset.shape == (3, 32, 32)
    assert dataset.examples.labels.bincount().tolist() == [1000] * 10
    assert dataset.examples.labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert dataset.examples.indices.tolist() == list(range(10_000))
    assert dataset.class_names[3] == "cat"
    assert [str(threat_model) for threat_model in dataset.threat_models.values()] == ["Linf:8/255", "L2:128/255"]
    assert dataset.notice is None


def test_reads_the_official_train_split(cifar10_dir):
    """50,000 balanced images, pinned by digest."""
    dataset = data.load("cifar10", data_dir=cifar10_dir, split="train")
    assert dataset.examples.labels.bincount().tolist() == [5000] * 10


def test_sample_equals_the_first_official_images(cifar10_dir, offline):
    """Offline, the first 20 test images take the place of the split, and say so."""
    official = data.load("cifar10", data_dir=cifar10_dir).examples[:20]
    sample = data.load("cifar10")
    assert sample.notice is not None
    assert sample.notice.startswith("20-image sample")
    assert torch.equal(sample.examples.inputs, official.inputs)
    assert torch.equal(sample.examples.labels, official.labels)


def test_sample_needs_no_data_and_leaves_nothing_behind(offline):
    """The fallback works on a bare machine; the failed download leaves no files."""
    sample = data.load("cifar10")
    assert len(sample) == 20
    assert sample.digest != data.DATASETS.get("cifar10").digests["test"]
    assert list(offline.iterdir()) == []


def test_train_split_has_no_substitute(offline):
    """Nobody trains on 20 images: one line says what to do."""
    with pytest.raises(download.NoNetworkError, match=r"could not be downloaded .*--data-dir") as caught:
        data.load("cifar10", split="train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", ["test", "train"])
def test_refuses_a_foreign_pickle_unread(tmp_path, offline, split):
    """Files with the right names and wrong content are named and never unpickled."""
    marker = tmp_path / "executed"
    (tmp_path / FOLDER).mkdir()
    for name in ("test_batch", "batches.meta", *(f"data_batch_{number}" for number in range(1, 6))):
        (tmp_path / FOLDER / name).write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(BenchError, match=r"Damaged data file .*data_batch_1: its MD5"):
        data.load("cifar10", data_dir=tmp_path, split=split)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["test_batch", "data_batch_4", "batches.meta"])
def test_names_the_damaged_batch(cifar10_dir, tmp_path, name):
    """One changed byte: the file is named; one missing file likewise."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    for file in (cifar10_dir / FOLDER).iterdir():
        (folder / file.name).symlink_to(file.resolve())
    (folder / name).unlink()
    with pytest.raises(BenchError, match=f"Missing data file .*{name}"):
        data.load("cifar10", data_dir=tmp_path)
    shutil.copyfile(cifar10_dir / FOLDER / name, folder / name)
    with (folder / name).open("r+b") as file:
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))
    with pytest.raises(BenchError, match=f"Damaged data file .*{name}"):
        data.load("cifar10", data_dir=tmp_path)
