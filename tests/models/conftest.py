"""What the tests of the models share: the digits, a small network, and a zoo on a temporary disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import data
from bench.models import Manifest, checkpoint, store
from bench.models.architectures import ARCHITECTURES


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def network(manifest: Manifest) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ARCHITECTURES.get("resnet18").build(**manifest.architecture.kwargs).eval()


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: torch.nn.Module, manifest: Manifest) -> Path:
    """A folder of checkpoints with `pgd-at` for the digits alone."""
    root = tmp_path / "checkpoints"
    checkpoint.write_checkpoint(root / "pgd-at", "digits", network.state_dict(), manifest)
    monkeypatch.setattr(store, "root", lambda: root)
    return root
