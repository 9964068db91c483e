"""Loading by name: the zoo, and everything that a user can get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench import models
from bench.models import checkpoint, digest
from bench.models.architectures import ARCHITECTURES
from bench.models.registry import load


def test_loads_what_was_stored(zoo, digits, network):
    """A model of the zoo gives the logits of the network that was stored, in eval mode and frozen."""
    loaded = load("pgd-at", dataset=digits)
    inputs = digits.examples.inputs[:5]
    assert torch.equal(loaded.module(inputs), network(inputs))
    assert not loaded.module.training
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())
    assert loaded.digest == digest.state_digest(network.state_dict())
    assert loaded.manifest == checkpoint.read_checkpoint(zoo / "pgd-at", "digits")[1]
    assert loaded.num_classes == 10
    assert loaded.spec.title == "PGD-AT"


def test_loading_draws_no_random_numbers(zoo, digits):
    """Loading leaves the global random state as it was."""
    before = torch.get_rng_state()
    load("pgd-at", dataset=digits)
    assert torch.equal(torch.get_rng_state(), before)


def test_listing_says_which_checkpoints_there_are(zoo):
    """Every model of the zoo is listed, with the datasets that it can be loaded for."""
    lines = {line.spec.name: line.datasets for line in models.listing()}
    assert tuple(lines) == models.names()
    assert lines["pgd-at"] == ("digits",)
    assert lines["aw-net"] == ()


def test_an_unknown_model_gets_the_nearest_name(digits, refused):
    """A misspelt model is answered with the nearest one."""
    refused(lambda: load("aw_net", dataset=digits), "'aw_net'", "Did you mean 'aw-net'?")


def test_a_model_without_checkpoint_says_how_to_make_it(zoo, digits, refused):
    """Where there is no checkpoint the message is the command that makes it."""
    refused(lambda: load("trades-awp", dataset=digits), "bench train --recipe trades-awp --dataset digits")


def test_a_changed_checkpoint_is_refused(zoo, digits, refused):
    """A checkpoint whose SHA-256 is off is not evaluated."""
    path = zoo / "pgd-at" / "digits.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x00")
    refused(lambda: load("pgd-at", dataset=digits), "sha256", "digits.safetensors")


def test_a_manifest_of_another_architecture_is_refused(zoo, digits, refused):
    """Weights that do not fit the manifest's network are refused with the parameter and both shapes."""
    path = zoo / "pgd-at" / "digits.json"
    values = json.loads(path.read_text())
    values["architecture"]["kwargs"]["width"] = 4
    path.write_text(json.dumps(values))
    refused(lambda: load("pgd-at", dataset=digits), "'conv1.weight'", "(2, 1, 3, 3)", "(4, 1, 3, 3)")


def test_a_manifest_without_sha256_is_refused(zoo, digits, refused):
    """A manifest that promises nothing about its weights is not taken for one that does."""
    path = zoo / "pgd-at" / "digits.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": ""}))
    refused(lambda: load("pgd-at", dataset=digits), "sha256")


@pytest.mark.parametrize("save", [save_file, torch.save])
def test_weights_of_the_users_fit_the_zoos_network(zoo, digits, network, tmp_path, save):
    """`--weights` replaces the weights of a model of the zoo, and no manifest is claimed for them."""
    save({key: tensor * 2 for key, tensor in network.state_dict().items()}, tmp_path / "mine.bin")
    loaded = load("pgd-at", dataset=digits, weights=tmp_path / "mine.bin")
    assert torch.equal(loaded.module.conv1.weight, network.conv1.weight * 2)
    assert loaded.manifest is None


def test_the_home_folder_is_found_in_the_path_of_weights(zoo, digits, network, tmp_path, monkeypatch):
    """`--weights=~/net.pt`, where no shell has replaced it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(network.state_dict(), tmp_path / "net.pt")
    model = load("pgd-at", dataset=digits, weights=Path("~/net.pt"))
    assert model.digest == digest.state_digest(network.state_dict())


def test_weights_with_their_own_manifest(zoo, digits, network, manifest, tmp_path, refused):
    """What `bench train` wrote is loaded by its own manifest, and refused for another model."""
    checkpoint.write_checkpoint(tmp_path / "out", "digits", network.state_dict(), manifest)
    weights = tmp_path / "out" / "digits.safetensors"
    assert load("pgd-at", dataset=digits, weights=weights).manifest.sha256
    refused(lambda: load("trades", dataset=digits, weights=weights), "'pgd-at'", "'trades'")


def test_a_model_for_other_classes_is_refused(zoo, digits, network, manifest, refused):
    """A checkpoint with the wrong number of classes does not pass the probe."""
    kwargs = {"num_classes": 3, "in_channels": 1, "width": 2}
    spec = models.ArchitectureSpec(name="resnet18", kwargs=kwargs)
    state = ARCHITECTURES.get("resnet18").build(**kwargs).state_dict()
    other = models.Manifest(**{**vars(manifest), "architecture": spec})
    checkpoint.write_checkpoint(zoo / "pgd-at", "digits", state, other)
    refused(lambda: load("pgd-at", dataset=digits), "10 logits", "got 3")
    assert load("pgd-at", dataset=digits, check=False).module.linear.out_features == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_loads_onto_a_gpu(zoo, digits, network):
    """The device that was asked for holds the module, and the digest is the CPU's."""
    loaded = load("pgd-at", dataset=digits, device="cuda")
    assert next(loaded.module.parameters()).device.type == "cuda"
    assert loaded.digest == digest.state_digest(network.state_dict())


def test_a_model_whose_weights_are_not_in_the_package_says_where_they_are(zoo, digits, refused):
    """A full-width model without weights here names the file of a checkout, and the command that trains it."""
    where = "--weights CHECKOUT/checkpoints/pgd-at-r18/digits.safetensors"
    command = "bench train --recipe pgd-at --dataset digits --scale medium"
    refused(lambda: load("pgd-at-r18", dataset=digits), where, command)
