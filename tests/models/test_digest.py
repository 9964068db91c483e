"""Digests of models: equal for the same function, different for another."""

from __future__ import annotations

import pytest
import torch

from bench.models import ArchitectureSpec, digest
from bench.models.building import build_empty

STATE = {"a": torch.arange(24.0).reshape(1, 2, 3, 4), "n": torch.tensor(3)}


def test_order_and_memory_format_do_not_count():
    """The same tensors in another order or memory format have the same digest."""
    turned = {"n": STATE["n"], "a": STATE["a"].contiguous(memory_format=torch.channels_last)}
    assert digest.state_digest(turned) == digest.state_digest(STATE)


@pytest.mark.parametrize(
    "change",
    [
        {"a": STATE["a"] + 1e-6},
        {"a": STATE["a"].double()},
        {"a": STATE["a"].reshape(2, 1, 3, 4)},
        {"b": torch.zeros(0)},
        {"n": torch.tensor(4)},
    ],
)
def test_values_dtypes_shapes_and_names_count(change):
    """A change of any of them changes the digest."""
    assert digest.state_digest(STATE | change) != digest.state_digest(STATE)


def test_bfloat16_has_a_digest():
    """Kinds of number that numpy does not know are digested too."""
    assert digest.state_digest({"a": torch.ones(2, dtype=torch.bfloat16)}) != digest.state_digest({"a": torch.ones(2)})


def test_architectures_differ_by_sources_and_arguments():
    """Another architecture, another argument, or a wrapper gives another digest; the same gives the same."""
    specs = [
        ArchitectureSpec(name="resnet18", kwargs={"width": 2}),
        ArchitectureSpec(name="resnet18", kwargs={"width": 4}),
        ArchitectureSpec(name="preact-resnet18", kwargs={"width": 2}),
        ArchitectureSpec(name="ducat", kwargs={"width": 2}),
    ]
    digests = [digest.architecture_digest(build_empty(spec), spec) for spec in specs]
    assert len(set(digests)) == len(specs)
    assert digests[0] == digest.architecture_digest(build_empty(specs[0]), specs[0])


def test_every_source_behind_a_network_counts(monkeypatch):
    """AW-Net's digest covers its router and MixBN, and the file that its constants come from."""
    spec = ArchitectureSpec(name="aw-resnet18", kwargs={"width": 2})
    read: set[str] = set()
    source = digest._source
    monkeypatch.setattr(digest, "_source", lambda name: (read.add(name.rpartition(".")[2]), source(name))[1])
    digest.architecture_digest(build_empty(spec), spec)
    assert read == {"aw_resnet", "awnet", "mixbn", "resnet"}


def test_a_users_file_counts_by_content_and_factory(tmp_path):
    """A user's factory is known by its file's bytes, its name and what the file imports, not by where the files lie."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text("def make(): ...\n")
        (tmp_path / folder / "part.py").write_text("x = 1\n")
    digests = [
        digest.factory_digest(
            tmp_path / folder / "net.py", factory, dict.fromkeys(names, tmp_path / folder / "part.py")
        )
        for folder, factory, names in (
            ("one", "make", []),
            ("two", "make", []),
            ("one", "other", []),
            ("one", "make", ["part"]),
            ("two", "make", ["part"]),
            ("one", "make", ["another"]),
        )
    ]
    assert digests[0] == digests[1] and digests[3] == digests[4]
    assert len(set(digests)) == 4
