"""Class names of a model against a dataset's: only what has one name on both sides is compared."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
from torchvision.models import ResNet18_Weights

from bench.models.class_order import class_order
from bench.models.sources import library


def held(model, data, name="folder-mine-01234567"):
    return class_order(SimpleNamespace(name="hf:x", class_names=model), SimpleNamespace(name=name, class_names=data))


def test_another_order_is_refused_by_name(refused):
    """With the first class that differs; --class-names where the data is the user's own."""
    refused(lambda: held(("Cat, felis", "dog"), ("dog", "cat")), "Class 0", "'Cat, felis'", "class 1", "--class-names")
    assert "--class-names" not in refused(lambda: held(("cat", "dog"), ("dog", "cat"), "cifar10"), "cifar10")


def test_what_cannot_be_compared_is_passed_over():
    """The same order under other spellings, other names among the same, numbers, and names that stand twice."""
    assert held(("Great_White-Shark, x", "car"), ("great white shark", "automobile")) == ()
    assert held(("1", "2"), ("2", "1")) == ()
    assert held(("crane", "crane", "dog"), ("bird", "crane", "dog")) == ()
    assert held(None, ("dog", "cat")) == ()


def test_names_that_have_nothing_in_common_are_a_remark():
    """The numbers alone then say which class is which."""
    assert "class 0 is 'tench'" in held(("tench", "goldfish"), ("n01440764", "n01443537"))[0]


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the extra `timm`")
def test_two_libraries_names_of_imagenet_agree():
    """They spell some classes otherwise and name others alike, and still no class is taken for another."""
    names = library.imported("timm.data", extra="timm").ImageNetInfo("imagenet-1k").label_descriptions()
    assert held(tuple(names), tuple(ResNet18_Weights.DEFAULT.meta["categories"]), "imagenet") == ()
