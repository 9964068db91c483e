from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from bench import data


def test_splits_share_nothing_and_lose_nothing():
    """The splits hold scikit-learn's images once each, and the test split is balanced."""
    test, train = data.load("digits"), data.load("digits", split="train")
    assert test.examples.labels.bincount().tolist() == [36] * 10
    images = torch.cat([test.examples.inputs, train.examples.inputs]).flatten(1) * 16
    official = torch.from_numpy(load_digits().data).float()
    assert sorted(images.tolist()) == sorted(official.tolist())


def test_is_grey_in_the_unit_range():
    """8x8, one channel, from 0 to exactly 1, with its own threat model."""
    dataset = data.load("digits")
    assert dataset.shape == (1, 8, 8)
    assert dataset.num_classes == 10
    assert (dataset.examples.inputs.min(), dataset.examples.inputs.max()) == (0, 1)
    assert str(dataset.default_threat_model) == "Linf:1/10"
