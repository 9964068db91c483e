from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import Norm


def test_lists_every_shipped_dataset():
    """`names` finds each dataset file."""
    assert data.names() == ("cifar10", "cifar100", "digits", "imagenet", "imagenet-5000", "svhn", "tiny-imagenet")


def test_every_dataset_declares_its_facts():
    """Each file gives sizes of its splits, one line of summary, and one threat model per norm."""
    for spec in data.DATASETS:
        assert set(spec.sizes) == ({"test"} if spec.name.startswith("imagenet") else {"test", "train"})
        assert "\n" not in spec.summary
        assert [threat_model.norm for threat_model in spec.threat_models] == [Norm.LINF, Norm.L2]


def test_names_the_nearest_dataset():
    """A misspelt name is answered with the right one and the forms for own data."""
    with pytest.raises(UnknownNameError, match=r"Did you mean 'cifar10'\?.*FILE\.npz.*folder:PATH"):
        data.load("cifar-10")


def test_refuses_an_unknown_split():
    """Only test and train exist."""
    with pytest.raises(BenchError, match="Unknown split 'val'"):
        data.load("digits", split="val")


def test_refuses_a_split_that_a_dataset_lacks():
    """ImageNet's train part is not offered."""
    with pytest.raises(BenchError, match="Dataset 'imagenet' has no split train, only test"):
        data.load("imagenet", split="train")


@pytest.mark.parametrize("stem", ["cifar10", "..", "a b;c", "Ünï"])
def test_names_own_data_safely(tmp_path, stem):
    """The name of a user's data is a plain folder name that no shipped dataset has."""
    path = tmp_path / f"{stem}.npz"
    np.savez(path, inputs=np.zeros((2, 1, 3, 3), np.uint8), labels=np.array([0, 1]))
    name = data.load(str(path)).name
    assert name.startswith("npz-")
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name not in data.names()


def test_own_data_has_no_train_split(tmp_path):
    """Evaluation data is not offered for training."""
    with pytest.raises(BenchError, match="only the split test"):
        data.load(f"folder:{tmp_path}", split="train")
