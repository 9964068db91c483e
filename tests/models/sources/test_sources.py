"""Names to sources: by prefix or form, with the nearest for what is none."""

from __future__ import annotations

import pytest

from bench.models.sources import SOURCES, source_of


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("aw-net", "zoo"),
        ("timm:resnet18.a1_in1k", "timm"),
        ("timm:resnet18", "timm"),
        ("torchvision:resnet18@IMAGENET1K_V1", "torchvision"),
        ("hf:google/vit-base-patch16-224@main", "hf"),
        ("hf:./snapshot", "hf"),
        ("robustbench:Wong2020Fast", "robustbench"),
        ("onnx:folder/net.onnx", "onnx"),
        ("folder/net.py:make", "file"),
        ("net.py:make", "file"),
        ("net.py", "file"),
        ("package.module:factory", "package"),
        ("module:factory", "package"),
    ],
)
def test_the_form_of_a_name_says_where_it_is_from(name, source):
    """A prefix first, then a file, a module, and the zoo."""
    assert source_of(name).name == source


def test_a_name_of_no_form_gets_the_nearest_and_all_forms(refused):
    """A prefix that is misspelt is told from a module that is not there."""
    forms = [each.form for each in SOURCES]
    refused(lambda: source_of("tim:resnet18.a1_in1k"), "Did you mean 'timm:resnet18.a1_in1k'?", *forms)
