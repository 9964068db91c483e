from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.io
from torchvision.datasets import SVHN

from bench import data
from bench.core.errors import BenchError


def test_refuses_a_damaged_file(tmp_path):
    """A file with another MD5 is named and not parsed."""
    (tmp_path / "test_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not this one")
    with pytest.raises(BenchError, match=r"Damaged data file .*test_32x32\.mat"):
        data.load("svhn", data_dir=tmp_path)


def test_reads_channels_first_and_calls_ten_zero(tmp_path, monkeypatch):
    """MATLAB's (H, W, C, N) becomes (N, C, H, W), and its label 10 is the digit 0."""
    path = tmp_path / "test_32x32.mat"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    scipy.io.savemat(path, {"X": pixels, "y": np.array([[10], [3]], np.uint8)})
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(SVHN.split_list, "test", ["", path.name, md5])
    content = data.DATASETS.get("svhn").read("test", tmp_path)
    assert content.labels.tolist() == [0, 3]
    assert content.inputs[1].tolist() == pixels[..., 1].transpose(2, 0, 1).tolist()
    with pytest.raises(BenchError, match="Expected 26032 test examples"):
        data.load("svhn", data_dir=tmp_path)
