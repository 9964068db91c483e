"""Torchvision's classifiers: their published weights by name, from the cache; pixels and normalisation as they say."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from bench.core.errors import BenchError
from bench.core.plain_text import one_line


def cached(caches, architecture, **arguments):
    """Put weights drawn at random where torch keeps the published ones; the network in eval mode."""
    weights = models.get_model_weights(architecture).DEFAULT
    network = models.get_model(architecture, weights=None, **arguments).eval()
    file = caches / "torch" / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), file)
    return network, weights, file


@pytest.mark.parametrize(("architecture", "n"), [("resnet18", 2), ("swin_t", 1)])
def test_logits_are_those_of_the_weights_own_transforms(caches, loaded, files, no_weaker_than_pgd, architecture, n):
    """Eval mode, frozen, the pixels and the normalisation of the weights; and attacks find what plain PGD finds."""
    network, weights, _ = cached(caches, architecture)
    model, dataset = loaded(f"torchvision:{architecture}")
    prepare = weights.transforms()
    with torch.no_grad():
        expected = network(torch.stack([prepare(Image.open(file)) for file in files[:n]]))
    inputs = dataset.examples[:n].inputs
    torch.testing.assert_close(model.module(inputs), expected, rtol=0, atol=1e-5)
    assert not any(each.training for each in model.module.modules())
    assert not any(each.requires_grad for each in model.module.parameters())
    assert dataset.preprocessing is not None
    assert dataset.shape == (3, 224, 224)
    no_weaker_than_pgd(model.module, inputs)


def test_a_file_in_the_cache_that_is_not_the_published_one_is_said(caches, loaded):
    """By the digest that the name of a published file holds."""
    _, _, file = cached(caches, "squeezenet1_1")
    model, _ = loaded("torchvision:squeezenet1_1@IMAGENET1K_V1")
    assert any(str(file) in line and "not the published file" in line for line in model.remarks)


def test_weights_of_ones_own_are_for_the_classes_of_the_data(loaded, tmp_path):
    """With --weights nothing is downloaded, and the network has as many logits as the data has classes."""
    network = models.squeezenet1_1(weights=None, num_classes=7)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    model, dataset = loaded("torchvision:squeezenet1_1", 7, weights=tmp_path / "own.safetensors")
    assert model.module(dataset.examples.inputs).shape == (4, 7)
    assert model.class_names is None


def test_what_is_not_there_is_said_in_one_line(caches, loaded, refused):
    """An unknown network, unknown weights, no network, other classes, and a page instead of weights."""
    refused(lambda: loaded("torchvision:resnet81"), "Unknown classifier", "Did you mean 'resnet18'?")
    refused(lambda: loaded("torchvision:fasterrcnn_resnet50_fpn"), "Unknown classifier")
    refused(lambda: loaded("torchvision:resnet18@IMAGENET1K_V7"), "Unknown weights", "IMAGENET1K_V1")
    refused(lambda: loaded("torchvision:resnet18@__class__"), "Unknown weights")
    refused(lambda: loaded("torchvision:resnet18"), "no route to host", str(caches / "torch"))
    with pytest.raises(BenchError) as caught:
        loaded("torchvision:resnet18")
    assert "put https://download.pytorch.org/models/resnet18-f37072fd.pth there" in one_line(str(caught.value))
    _, _, file = cached(caches, "squeezenet1_1")
    refused(lambda: loaded("torchvision:squeezenet1_1", 5), "Expected 5 logits", "1000")
    file.write_text("<!DOCTYPE html><html></html>")
    refused(lambda: loaded("torchvision:squeezenet1_1"), "web page", str(file))
