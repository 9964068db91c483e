"""Models of packages: by module and factory, or by the name of an entry point."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch

from bench import models
from bench.models.registry import load
from bench.models.sources import package

SOURCE = """
from torch import nn
from .parts import WIDTH

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.Linear(WIDTH, 10))

def broken():
    raise RuntimeError("no such thing")

def narrow(width):
    return None
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package in the present folder, which is not on the import path."""
    folder = tmp_path / "own_library"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "parts.py").write_text("WIDTH = 3\n")
    (folder / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_factory_in_the_present_folder(library, digits, tmp_path):
    """Its package's modules are run as they are now and are part of what it is; its weights may lie in a file."""
    torch.manual_seed(0)
    first = load("own_library.nets:make", dataset=digits)
    torch.save(first.module.state_dict(), tmp_path / "own.pt")
    again = load("own_library.nets:make", dataset=digits, weights=tmp_path / "own.pt")
    assert (again.digest, again.factory_digest) == (first.digest, first.factory_digest)
    (library / "parts.py").write_text("WIDTH = 4\n")
    changed = load("own_library.nets:make", dataset=digits)
    assert changed.module[1].out_features == 4
    assert changed.factory_digest != first.factory_digest


def test_an_installed_package_is_known_by_its_version(digits, monkeypatch):
    """Its files are not the user's own, so that a newer version is another model."""
    found = []
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(importlib.metadata, "version", lambda _name, version=version: version)
        found.append(package._version("torchvision.models"))
    assert found[0] != found[1]
    assert "torchvision" in found[0]


def test_an_entry_point_is_a_name_of_its_own(library, digits, monkeypatch):
    """It is loaded by that name and listed with its package, and never takes the place of a model of the zoo."""
    installed = library.parent / "their_package-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    points = "".join(f"{name} = own_library.nets:make\n" for name in ("their-net", "standard"))
    (installed / "entry_points.txt").write_text(f"[bench.models]\n{points}")
    monkeypatch.syspath_prepend(library.parent)
    loaded = load("their-net", dataset=digits)
    assert loaded.name == "their-net"
    assert models.installed()["their-net"] == "their-package"
    assert load("standard", dataset=digits).spec is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own_library.nets:mak", "Did you mean 'make'?"),
        ("own_library.net:make", "No module 'own_library.net'"),
        ("tim:resnet18", "Did you mean 'timm:resnet18'?"),
        ("own_library.nets:broken", "RuntimeError: no such thing"),
        ("own_library.nets:narrow", "needs width"),
        ("own_library.lacking:make", "No module named 'not_there'"),
        ("own_library.nets:WIDTH", "to be a function"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(library, digits, refused, name, text):
    """A module, a factory, or something that either needs."""
    (library / "lacking.py").write_text("import not_there\n")
    refused(lambda: load(name, dataset=digits), text)
