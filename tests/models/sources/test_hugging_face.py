"""Classifiers on Hugging Face's hub: from a snapshot, with its own pixels, and with nothing of it run."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bench.models.sources import library

pytestmark = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the extra `hf`")


@pytest.fixture
def transformers():
    found = library.imported("transformers", extra="hf")
    found.utils.logging.disable_progress_bar()
    return found


@pytest.fixture
def vit(transformers):
    """A small vision transformer with `labels` classes."""

    def made(labels=5, **options):
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
        settings = transformers.ViTConfig(**sizes, image_size=224, patch_size=32, num_labels=labels, **options)
        return transformers.ViTForImageClassification(settings).eval()

    return made


@pytest.fixture
def snapshot(transformers, tmp_path):
    """Make a folder as `save_pretrained` does."""

    def made(network, processor=None, folder=None):
        folder = folder or tmp_path / "snapshot"
        network.save_pretrained(folder)
        (processor or transformers.ViTImageProcessor()).save_pretrained(folder)
        return folder

    return made


def changed(folder, **entries):
    """The folder with other entries in its configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return folder


def test_a_vision_transformers_logits_are_those_by_hand(transformers, vit, snapshot, loaded, files, no_weaker_than_pgd):
    """The pixels and the normalisation of the snapshot's own image processor, but for its way to resize."""
    network = vit()
    folder = snapshot(network)
    model, dataset = loaded(f"hf:{folder}", 5)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        expected = network(**processor([Image.open(file) for file in files], return_tensors="pt")).logits
    inputs = dataset.examples.inputs
    torch.testing.assert_close(model.module(inputs), expected, rtol=0, atol=1e-2)
    with torch.no_grad():
        normalised = network(pixel_values=(inputs - 0.5) / 0.5).logits
    torch.testing.assert_close(model.module(inputs), normalised, rtol=0, atol=1e-5)
    assert str(dataset.preprocessing) == "Resize((224, 224), bilinear)"
    assert not any(each.training for each in model.module.modules())
    assert not any(each.requires_grad for each in model.module.parameters())
    no_weaker_than_pgd(model.module, inputs, "quick-v1")


def test_a_residual_networks_too(transformers, snapshot, loaded, no_weaker_than_pgd):
    """Its image processor resizes to more than it crops."""
    settings = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5
    )
    network = transformers.ResNetForImageClassification(settings).eval()
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875)
    model, dataset = loaded(f"hf:{snapshot(network, processor)}", 5)
    assert str(dataset.preprocessing) == "Resize(256, bicubic), CenterCrop(224)"
    inputs = dataset.examples.inputs
    with torch.no_grad():
        expected = network(pixel_values=(inputs - 0.5) / 0.5).logits
    torch.testing.assert_close(model.module(inputs), expected, rtol=0, atol=1e-5)
    no_weaker_than_pgd(model.module, inputs)


def test_a_repository_in_the_cache_is_loaded_at_the_revision_that_is_asked_for(vit, snapshot, loaded, in_hub, refused):
    """Without a network, with the commit said; another revision is not there."""
    snapshot(vit(), folder=in_hub("somebody/vit", "a" * 40))
    snapshot(vit(), folder=in_hub("somebody/vit", "b" * 40, revision="v2"))
    first, second = (loaded(f"hf:somebody/vit{revision}", 5)[0] for revision in ("", "@v2"))
    assert any("a" * 40 in line for line in first.remarks)
    assert any("b" * 40 in line for line in second.remarks)
    assert first.digest != second.digest
    refused(lambda: loaded("hf:somebody/vit@v3", 5), "no route to host", "hf download somebody/vit --revision v3")


def test_what_the_hub_says_no_to_is_one_line(caches, loaded, refused, monkeypatch):
    """No such repository, no such revision, one behind an agreement, a name that cannot be."""
    import huggingface_hub
    from huggingface_hub import errors

    for kind, text in (
        (errors.RepositoryNotFoundError, "no repository 'somebody/vit'"),
        (errors.RevisionNotFoundError, "no revision 'v9'"),
        (errors.GatedRepoError, "agreement"),
    ):

        def answer(*_args, kind=kind, **_kwargs):
            raise kind.__new__(kind, "no")

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
        refused(lambda: loaded("hf:somebody/vit@v9"), text)
    refused(lambda: loaded("hf:some body"), "Expected a repository")
    refused(lambda: loaded("hf:./nowhere"), "No folder")


def test_timms_models_on_the_hub_are_timms(tmp_path, loaded):
    """By the architecture that their configuration names."""
    timm = library.imported("timm", extra="timm")
    network = timm.create_model("test_vit", num_classes=5).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    settings = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 160, 160], "crop_pct": 0.8}
    configuration = {"architecture": "test_vit", "num_classes": 5, "pretrained_cfg": {**settings, "tag": "mine"}}
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    model, dataset = loaded(f"hf:{tmp_path}", 5)
    assert str(dataset.preprocessing) == "Resize(200, bicubic), CenterCrop(160)"
    mean, std = (torch.tensor(settings[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        expected = network((dataset.examples.inputs - mean) / std)
    torch.testing.assert_close(model.module(dataset.examples.inputs), expected, rtol=0, atol=1e-5)


def test_half_precision_and_older_files_are_read(vit, snapshot, loaded):
    """Float16 is computed in float32; a file that torch.save wrote is taken where there are no safetensors."""
    folder = snapshot(vit().half())
    network = vit()
    assert {each.dtype for each in loaded(f"hf:{folder}", 5)[0].module.parameters()} == {torch.float32}
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    module = loaded(f"hf:{folder}", 5)[0].module
    assert torch.equal(module[1].network.classifier.weight, network.classifier.weight)


def test_no_code_of_a_repositorys_is_run(vit, snapshot, loaded, refused, tmp_path):
    """Neither what its configuration names, nor what its weights ask for."""
    folder = snapshot(vit())
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"}
    refused(lambda: loaded(f"hf:{changed(folder, model_type='own', auto_map=code)}", 5), "does not run")
    changed(folder, model_type="vit")
    loaded(f"hf:{folder}", 5)
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Harmful(tmp_path / "ran")}, folder / "pytorch_model.bin")
    refused(lambda: loaded(f"hf:{folder}", 5), "transformers cannot load")
    assert not (tmp_path / "ran").exists()


def test_settings_that_lead_elsewhere_are_refused(vit, snapshot, loaded, refused, tmp_path):
    """Other files, which timm reads as pickles, kernels of the hub's, and timm behind transformers' back."""
    torch.save({"weights": Harmful(tmp_path / "ran")}, tmp_path / "harmful.pt")
    folder = snapshot(vit())
    arguments = {"checkpoint_path": str(tmp_path / "harmful.pt")}
    for entries, text in (
        ({"architecture": "resnet18", "num_classes": 5, "model_args": arguments}, "checkpoint_path"),
        ({"model_type": "timm_wrapper", "model_args": arguments}, "checkpoint_path"),
        ({"model_type": "timm_wrapper", "model_args": {}}, "timm_wrapper"),
        ({"attn_implementation": "somebody/kernel"}, "attn_implementation"),
        ({"use_pretrained_backbone": True}, "use_pretrained_backbone"),
        ({"architecture": "hf-hub:somebody/net"}, "name of a network of timm's"),
        ({"architecture": "local-dir:/tmp"}, "name of a network of timm's"),
    ):
        written = (folder / "config.json").read_text()
        refused(lambda entries=entries: loaded(f"hf:{changed(folder, **entries)}", 5), text)
        (folder / "config.json").write_text(written)
    assert not (tmp_path / "ran").exists()


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_configurations_that_ask_for_too_much_are_refused(vit, snapshot, loaded, refused):
    """More layers or larger ones than any network has, quantised weights, and another kind of model."""
    folder = snapshot(vit())
    for entries, text in (
        ({"num_hidden_layers": 10**9}, "at most 1,000"),
        ({"num_hidden_layers": 1, "hidden_size": 10**9}, "at most 1,000,000"),
        ({"hidden_size": 900_000}, "parameters"),
        ({"hidden_size": 32, "quantization_config": {}}, "quantised"),
    ):
        refused(lambda entries=entries: loaded(f"hf:{changed(folder, **entries)}", 5), text)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refused(lambda: loaded(f"hf:{folder}", 5), "no image classifier", "bert")


def test_a_snapshot_that_lacks_something_is_refused(transformers, vit, snapshot, loaded, refused, tmp_path):
    """A head that nobody trained, no weights, a page instead of them, no configuration; --weights is none's here."""
    backbone = snapshot(transformers.ViTModel(vit().config), folder=tmp_path / "backbone")
    refused(lambda: loaded(f"hf:{backbone}", 5), "lack 'classifier.bias'")
    folder = snapshot(vit())
    refused(lambda: loaded(f"hf:{folder}", 5, weights=tmp_path / "own.pt"), "--weights")
    refused(lambda: loaded(f"hf:{folder}", 6), "Expected 6 logits", "5")
    (folder / "model.safetensors").write_text("<html></html>")
    refused(lambda: loaded(f"hf:{folder}", 5), "web page")
    (folder / "model.safetensors").unlink()
    refused(lambda: loaded(f"hf:{folder}", 5), "Expected weights")
    (folder / "preprocessor_config.json").unlink()
    refused(lambda: loaded(f"hf:{folder}", 5), "preprocessor_config.json")
    (folder / "config.json").unlink()
    refused(lambda: loaded(f"hf:{folder}", 5), "config.json")


def test_image_processors_that_do_something_else_are_refused(transformers, vit, snapshot, loaded, refused):
    """Other steps, other channels, and bytes that do not end in [0, 1], rather than other pixels in silence."""
    for processor, text in (
        (transformers.LevitImageProcessor(), "does not know"),
        (transformers.MobileViTImageProcessor(), "does not know"),
        (transformers.ViTImageProcessor(do_rescale=False), "leaves [0, 1]"),
        (transformers.ViTImageProcessor(rescale_factor=1 / 127.5), "leaves [0, 1]"),
        (transformers.ViTImageProcessor(image_std=[0.5, 0.0, 0.5]), "does not know"),
    ):
        folder = snapshot(vit(), processor)
        refused(lambda folder=folder: loaded(f"hf:{folder}", 5), text)


def test_classes_in_another_order_are_refused(vit, snapshot, loaded, refused):
    """Where the configuration names them and the data has the same names."""
    names = {number: f"class{(number + 1) % 5}" for number in range(5)}
    folder = snapshot(vit(id2label=names))
    refused(lambda: loaded(f"hf:{folder}", 5), "Class 0", "'class1'", "--class-names")
    folder = snapshot(vit(id2label={number: f"class{number}" for number in range(5)}))
    assert loaded(f"hf:{folder}", 5)[0].class_names == tuple(f"class{number}" for number in range(5))


def test_a_missing_package_names_the_extra(vit, snapshot, loaded, refused, monkeypatch):
    """Transformers is not installed with bench."""
    folder = snapshot(vit())
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "transformers" else find(name))
    refused(lambda: loaded(f"hf:{folder}", 5), "pip install 'robust-bench[hf]'")
