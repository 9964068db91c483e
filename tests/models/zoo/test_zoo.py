"""Every file of the zoo."""

from __future__ import annotations

import pytest

from bench.models import names, store
from bench.models.building import build_empty
from bench.models.checkpoint import manifest_path, read_checkpoint
from bench.models.fitting import fit
from bench.models.zoo import ZOO

EXPECTED = {
    "standard", "pgd-at", "trades", "mart", "at-awp", "trades-awp", "aw-net", "ducat", "trades-ducat", "robust-wrn",
    "wrn", "fgsm-rs",
}  # fmt: skip
SHIPPED = [(name, dataset) for name in names() for dataset in store.available(name)]


def test_has_the_systems_and_their_baselines():
    """The zoo has every system and baseline that the project promises."""
    assert set(names()) >= EXPECTED


@pytest.mark.parametrize("name", names())
def test_describes_its_model(name):
    """Each entry says in a sentence what the model is, and where the method was published."""
    spec = ZOO.get(name)
    assert spec.summary.endswith(".")
    assert spec.title
    assert spec.paper
    assert (spec.decision == "pair-max") == (spec.structure == "raw-pairs")


@pytest.mark.parametrize(("name", "dataset"), SHIPPED)
def test_shipped_checkpoint_fits_its_manifest(name, dataset):
    """Each checkpoint that ships has its SHA-256, fits its network, and is the model that its folder says."""
    folder = store.model_folder(name)
    state, manifest = read_checkpoint(folder, dataset)
    module = build_empty(manifest.architecture)
    fit(module, {"": state}, name=name, path=manifest_path(folder, dataset), assign=True)
    assert (manifest.model, manifest.dataset, manifest.recipe) == (name, dataset, ZOO.get(name).recipe)
    structure = {"routes": ("route", "routed"), "raw-pairs": ("raw",), None: ()}[ZOO.get(name).structure]
    assert all(hasattr(module, method) for method in structure)


@pytest.mark.parametrize(("name", "dataset"), SHIPPED)
def test_shipped_weights_are_small(name, dataset):
    """A checkpoint that ships is at most 4 MB, or 24 MB at full width."""
    limit = 24 if name.endswith("-r18") else 4
    assert (store.model_folder(name) / f"{dataset}.safetensors").stat().st_size <= limit * 2**20
