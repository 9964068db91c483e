"""Models of timm: their published weights by name, from the cache; pixels and normalisation as timm says."""

from __future__ import annotations

import importlib.util
import re

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bench.models import preprocessing
from bench.models.sources import library

pytestmark = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the extra `timm`")


@pytest.fixture
def timm():
    return library.imported("timm", extra="timm")


@pytest.fixture
def cached(timm, in_hub):
    """Put weights drawn at random where the hub's client keeps the published ones; the network in eval mode."""

    def made(architecture):
        network = timm.create_model(architecture).eval()
        folder = in_hub(timm.get_pretrained_cfg(architecture).hf_hub_id)
        save_file(network.state_dict(), folder / "model.safetensors")
        return network, folder

    return made


@pytest.mark.parametrize("architecture", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
def test_logits_are_those_of_timm_by_hand(timm, cached, loaded, files, no_weaker_than_pgd, architecture):
    """Eval mode, frozen, timm's own pixels and normalisation; and attacks find what plain PGD finds."""
    network, _ = cached(architecture)
    model, dataset = loaded(f"timm:{architecture}")
    prepare = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network), is_training=False)
    with torch.no_grad():
        expected = network(torch.stack([prepare(Image.open(file)) for file in files]))
    inputs = dataset.examples.inputs
    torch.testing.assert_close(model.module(inputs), expected, rtol=0, atol=1e-5)
    assert not any(each.training for each in model.module.modules())
    assert not any(each.requires_grad for each in model.module.parameters())
    assert model.class_names[0] == "tench, Tinca tinca"
    assert any("c" * 40 in line for line in model.remarks)
    no_weaker_than_pgd(model.module, inputs)


def test_the_quick_suite_is_no_weaker_than_plain_pgd(cached, loaded, no_weaker_than_pgd):
    """With all its attacks and steps, on a small network of timm's."""
    cached("test_vit")
    model, dataset = loaded("timm:test_vit")
    no_weaker_than_pgd(model.module, dataset.examples.inputs, "quick-v1")


def test_names_that_timm_translates_are_loaded_in_full(timm, in_hub, loaded, refused):
    """An older checkpoint's names are translated by timm; one that lacks something is refused, not filled at random."""
    network = timm.create_model("convnext_atto")
    folder = in_hub(timm.get_pretrained_cfg("convnext_atto").hf_hub_id)
    torch.save(_older_names(network.state_dict()), folder / "pytorch_model.bin")
    model, _ = loaded("timm:convnext_atto")
    translated = model.module[1].state_dict()
    assert all(torch.equal(each, translated[key]) for key, each in network.state_dict().items())
    lacking = _older_names(network.state_dict())
    del lacking["head.weight"]
    torch.save(lacking, folder / "pytorch_model.bin")
    refused(lambda: loaded("timm:convnext_atto"), "do not fit")


def _older_names(state):
    """A convnext's state in the names of its authors."""
    renamed = {}
    for key, each in state.items():
        key = re.sub(r"^stem\.(\d)", r"downsample_layers.0.\1", key)
        key = re.sub(r"^stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2", key)
        key = re.sub(r"^stages\.(\d)\.blocks\.", r"stages.\1.", key)
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        renamed[key.replace("head.norm", "norm").replace("head.fc", "head")] = each
    return renamed


def test_weights_of_ones_own_are_for_the_classes_of_the_data(timm, loaded, tmp_path):
    """With --weights nothing is downloaded, and the network has as many logits as the data has classes."""
    network = timm.create_model("test_vit", num_classes=7)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "own.pt")
    model, dataset = loaded("timm:test_vit", 7, weights=tmp_path / "own.pt")
    assert model.module(dataset.examples.inputs).shape == (4, 7)
    assert model.class_names is None


def test_data_in_memory_gets_the_normalisation_alone(timm, cached):
    """Pixels that do not lie in image files are what they are."""
    assert preprocessing("timm:resnet18", dataset="cifar10") is None
    assert preprocessing("timm:resnet18", dataset="mine.npz") is None
    assert str(preprocessing("timm:resnet18", dataset="imagenet")) == "Resize(235, bicubic), CenterCrop(224)"


def test_what_is_not_there_is_said_in_one_line(caches, cached, loaded, refused, monkeypatch):
    """An unknown model or version, no network, a page instead of weights, and no timm."""
    refused(lambda: loaded("timm:resnet81"), "Did you mean 'timm:resnet18'?")
    refused(lambda: loaded("timm:resnet18.a1_in1"), "Did you mean 'timm:resnet18.a1_in1k'?")
    refused(lambda: loaded("timm:resnet18"), "no route to host", str(caches / "hub"), "hf download timm/resnet18.a1")
    _, folder = cached("test_vit")
    (folder / "model.safetensors").write_text("<!DOCTYPE html><html></html>")
    refused(lambda: loaded("timm:test_vit"), "web page")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "timm" else find(name, *rest))
    refused(lambda: loaded("timm:test_vit"), "pip install 'robust-bench[timm]'")
