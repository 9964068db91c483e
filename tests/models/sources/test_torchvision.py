"""Torchvision's classifiers: their published weights by name, from the cache; pixels and normalisation as they say."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.transforms import functional

from bench.core.errors import BenchError
from bench.core.plain_text import one_line
from bench.core.types import ThreatModel
from bench.models.sources import library
from bench.models.sources.source import Wanted
from bench.models.sources.torchvision import ENTRY

BUILT_WITHOUT_MEMORY = [name for name in models.list_models(module=models) if not name.startswith("regnet")]
"""RegNets work out their widths with tensors, which need some."""


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


def state_of(module):
    """All that a network's parts are set to, but for tensors."""
    plain = (bool, int, float, str, tuple)
    return {
        (name, key): value
        for name, part in module.named_modules()
        for key, value in vars(part).items()
        if isinstance(value, plain) and not key.startswith("_")
    }


@pytest.mark.parametrize("architecture", BUILT_WITHOUT_MEMORY)
def test_a_network_is_built_as_torchvision_builds_it_for_the_weights(monkeypatch, architecture):
    """Its own normalisation, the size of its images, and parts that only training uses: for each published file."""
    for weights in models.get_model_weights(architecture):
        with torch.device("meta"), monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(library, "finished", lambda network, *others, **options: network)
            name = f"torchvision:{architecture}@{weights.name}"
            threat_model = ThreatModel.parse("Linf:4/255")
            ours = ENTRY.load(
                Wanted(name=name, dataset="imagenet", num_classes=1000, threat_model=threat_model, empty=True)
            )
            patch.setattr(type(weights), "get_state_dict", lambda *arguments, **options: {})
            patch.setattr(nn.Module, "load_state_dict", lambda *arguments, **options: None)
            theirs = models.get_model(architecture, weights=weights).eval()
        assert state_of(ours.eval()) == state_of(theirs)
        assert [*ours.state_dict()] == [*theirs.state_dict()]


def test_densenets_old_names_are_read(caches, loaded):
    """As torchvision reads its published files, in which `norm1` is `norm.1`."""
    network, _, file = cached(caches, "densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): each
        for key, each in network.state_dict().items()
        if not key.endswith("num_batches_tracked")  # older than those
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, file)
    model, dataset = loaded("torchvision:densenet121")
    inputs = dataset.examples[:1].inputs
    normalised = models.DenseNet121_Weights.DEFAULT.transforms()
    prepared = functional.normalize(inputs, normalised.mean, normalised.std)
    with torch.no_grad():
        torch.testing.assert_close(model.module(inputs), network(prepared), rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("architecture", ["mnasnet0_5", "squeezenet1_1"])
def test_a_saved_file_keeps_what_its_parts_note_about_themselves(loaded, tmp_path, architecture):
    """MNASNet reads no state without its version."""
    network = models.get_model(architecture, weights=None, num_classes=7)
    torch.save(network.state_dict(), tmp_path / "own.pth")
    model, _ = loaded(f"torchvision:{architecture}", 7, weights=tmp_path / "own.pth")
    assert model.remarks == ()


def test_a_network_whose_pixels_its_file_cannot_tell_says_so(loaded, tmp_path):
    """Torchvision's own weights of GoogLeNet want other pixels than a network that was made without them."""
    torch.save(models.googlenet(num_classes=7, init_weights=False).state_dict(), tmp_path / "own.pth")
    model, _ = loaded("torchvision:googlenet", 7, weights=tmp_path / "own.pth")
    assert any("transform_input=True" in line for line in model.remarks)


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
