"""Where checkpoints are found."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from bench.models import store


def _lay(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_an_installed_package_comes_before_a_working_copy(tmp_path, monkeypatch):
    """The checkpoints inside the package are used, else those at the top of the working copy, else none."""
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(resources, "files", lambda package: tmp_path / package)
    assert store.root() is None
    assert store.available("aw-net") == ()
    _lay(tmp_path / "checkpoints" / "aw-net", "digits.json", "digits.safetensors")
    assert store.root() == tmp_path / "checkpoints"
    (tmp_path / "bench" / "_checkpoints").mkdir()
    assert store.root() == tmp_path / "bench" / "_checkpoints"


def test_a_checkpoint_is_weights_with_a_manifest(tmp_path, monkeypatch):
    """Weights without a manifest, or a manifest without weights, are no checkpoint."""
    _lay(tmp_path / "aw-net", "b.json", "b.safetensors", "a.json", "a.safetensors", "c.json", "d.safetensors")
    monkeypatch.setattr(store, "root", lambda: tmp_path)
    assert store.available("aw-net") == ("a", "b")
