"""Checkpoints: written whole, verified when read."""

from __future__ import annotations

import dataclasses
import errno
import os
import sys

import pytest
import torch

from bench.models import checkpoint
from bench.storage.regular_file import sha256_of


def test_reads_what_it_wrote(tmp_path, network, manifest):
    """Weights come back bit for bit, with the manifest that names their SHA-256."""
    written = checkpoint.write_checkpoint(tmp_path / "pgd-at", "digits", network.state_dict(), manifest)
    state, read = checkpoint.read_checkpoint(tmp_path / "pgd-at", "digits")
    assert read == written == dataclasses.replace(manifest, sha256=written.sha256)
    assert written.sha256 == sha256_of(tmp_path / "pgd-at" / "digits.safetensors")
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_half_precision_and_channels_last(tmp_path, network, manifest):
    """Weights in another memory format are stored too, filters in float16 where asked for, the rest untouched."""
    module = network.to(memory_format=torch.channels_last)
    checkpoint.write_checkpoint(tmp_path, "digits", checkpoint.rounded_state(module.state_dict()), manifest)
    state, _ = checkpoint.read_checkpoint(tmp_path, "digits")
    assert torch.equal(state["conv1.weight"], network.state_dict()["conv1.weight"].half())
    assert state["bn1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(state["bn1.running_var"], network.state_dict()["bn1.running_var"])


def test_rounding_loses_no_size():
    """A running variance beyond float16 or below it is kept as it is, and so is a filter with such a value."""
    state = {"running_var": torch.tensor([1e6, 1e-12]), "conv": torch.tensor([[1e6, 1.0]]), "linear": torch.ones(2, 2)}
    kept = checkpoint.rounded_state(state)
    assert torch.equal(kept["running_var"], state["running_var"]) and torch.equal(kept["conv"], state["conv"])
    assert kept["linear"].dtype == torch.float16


def test_leaves_nothing_else_behind(tmp_path, network, manifest):
    """After a write, and after a second one over it, the folder holds the two files and nothing else."""
    for _ in range(2):
        checkpoint.write_checkpoint(tmp_path, "digits", network.state_dict(), manifest)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.json", "digits.safetensors"]


def test_a_changed_byte_is_noticed(tmp_path, network, manifest, refused):
    """Weights that do not have the manifest's SHA-256 are refused, and both digests are shown."""
    written = checkpoint.write_checkpoint(tmp_path, "digits", network.state_dict(), manifest)
    path = tmp_path / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = sha256_of(path)
    refused(lambda: checkpoint.read_checkpoint(tmp_path, "digits"), "sha256", found[:12], written.sha256[:12])


@pytest.mark.parametrize("missing", ["digits.json", "digits.safetensors"])
def test_a_missing_file_is_named(tmp_path, network, manifest, refused, missing):
    """Either file without the other is refused by name."""
    checkpoint.write_checkpoint(tmp_path, "digits", network.state_dict(), manifest)
    (tmp_path / missing).unlink()
    refused(lambda: checkpoint.read_checkpoint(tmp_path, "digits"), missing)


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, network, manifest, monkeypatch, refused):
    """When the disk is full the error is one line, and the checkpoint of before is still whole."""
    checkpoint.write_checkpoint(tmp_path, "digits", network.state_dict(), manifest)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    refused(
        lambda: checkpoint.write_checkpoint(tmp_path, "digits", state, manifest), "digits.safetensors", "No space left"
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="names in POSIX")
def test_a_folder_that_cannot_be_made_is_named(tmp_path, network, manifest, refused):
    """A folder that cannot be written is the user's to fix: one line."""
    (tmp_path / "file").write_text("in the way")
    refused(
        lambda: checkpoint.write_checkpoint(tmp_path / "file" / "x", "digits", network.state_dict(), manifest), "file/x"
    )


def test_weights_that_are_not_finite_are_not_written(tmp_path, manifest):
    """A caller that stores NaN made a mistake; nothing is written."""
    with pytest.raises(ValueError, match="'w' is not"):
        checkpoint.write_checkpoint(tmp_path, "digits", {"w": torch.tensor([float("nan")])}, manifest)
    assert not list(tmp_path.iterdir())
