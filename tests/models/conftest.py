"""What the tests of the models share: the digits, a small network, a manifest for it, and a zoo on a temporary disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import data
from bench.core.errors import BenchError
from bench.models import Accuracy, ArchitectureSpec, Manifest, checkpoint, store
from bench.models.architectures import ARCHITECTURES

KWARGS = {"num_classes": 10, "in_channels": 1, "width": 2}


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        model="pgd-at",
        dataset="digits",
        architecture=ArchitectureSpec(name="resnet18", kwargs=KWARGS),
        recipe="pgd-at",
        scale="tiny",
        seed=3,
        data_digest="d" * 64,
        commit="c" * 40,
        date="2026-01-02T03:04:05+00:00",
        training_seconds=12.5,
        hardware="2 cores",
        licence="MIT",
        accuracies=(Accuracy(name="clean", checkpoint="best", split="validation", n_examples=200, n_correct=150),),
        differences=("a network of width 2",),
        versions={"torch": "2.6.0"},
    )


@pytest.fixture
def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ARCHITECTURES.get("resnet18").build(**KWARGS).eval()


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: torch.nn.Module, manifest: Manifest) -> Path:
    """A folder of checkpoints with `pgd-at` for the digits alone."""
    root = tmp_path / "checkpoints"
    checkpoint.write(root / "pgd-at", "digits", network.state_dict(), manifest)
    monkeypatch.setattr(store, "root", lambda: root)
    return root


@pytest.fixture
def refused():
    """Run something that must raise a `BenchError` of one line that contains every given text."""

    def check(call, *texts: str) -> str:
        with pytest.raises(BenchError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        for text in texts:
            assert text in message
        return message

    return check
