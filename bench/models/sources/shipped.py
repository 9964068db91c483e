"""Models of the zoo: weights and manifest from the checkpoints that come with bench, or from the user's `--weights`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.core.errors import BenchError
from bench.models import checkpoint, digest, store
from bench.models.building import build_empty
from bench.models.fitting import fit
from bench.models.loaded import LoadedModel, freeze
from bench.models.sources import robustbench
from bench.models.sources.source import Source, Wanted
from bench.models.zoo import ZOO, ModelSpec
from bench.row import ArchitectureSpec, Manifest

__all__ = ["ENTRY"]


def load(wanted: Wanted) -> LoadedModel:
    """Load a model of the zoo as trained on a dataset.

    Args:
        wanted: its `weights`, where given, are a file to use instead of the one that comes with bench; its manifest
            lies beside it under the same name, or else the architecture is that of bench's own checkpoint.

    Raises:
        UnknownNameError: if the zoo has no such model.
        BenchError: if there is no checkpoint for the dataset, or it is damaged or does not fit.
    """
    name, weights, dataset = wanted.name, wanted.weights, wanted.dataset
    if name not in ZOO and robustbench.knows(name):
        raise BenchError(f"Unknown model {name!r}. RobustBench has one: robustbench:{name}")
    spec = ZOO.get(name)
    source = _find(spec, dataset) if weights is None else _given(spec, weights, dataset)
    sha256 = source.manifest.sha256 if source.manifest else None
    states = checkpoint.load_states(source.path, sha256=sha256, key=wanted.weights_key)
    module = build_empty(source.architecture)
    remarks = fit(module, states, name=f"architecture {source.architecture.name!r}", path=source.path, assign=True)
    freeze(module, wanted.device)
    return LoadedModel(
        name=name,
        module=module,
        digest=digest.state_digest(module.state_dict()),
        factory_digest=digest.architecture_digest(module, source.architecture),
        num_classes=wanted.num_classes,
        manifest=source.manifest,
        spec=spec,
        architecture=source.architecture,
        remarks=remarks if source.manifest is None else (),  # what bench has written, in either precision, is no news
    )


class _Source(NamedTuple):
    path: Path
    architecture: ArchitectureSpec
    manifest: Manifest | None


def _find(spec: ModelSpec, dataset: str) -> _Source:
    """The checkpoint that comes with bench."""
    folder = store.model_folder(spec.name)
    known = store.available(spec.name)
    if folder is None or dataset not in known:
        raise BenchError(
            f"Model {spec.name!r} has no checkpoint for {dataset!r} (it has: {', '.join(known) or 'none'})."
            f"{_elsewhere(spec, dataset)} Make one with: {spec.command(dataset)}"
        )
    manifest = Manifest.read(checkpoint.manifest_path(folder, dataset))
    return _Source(checkpoint.weights_path(folder, dataset), manifest.architecture, manifest)


def _elsewhere(spec: ModelSpec, dataset: str) -> str:
    """Where else the weights may be that are too large for the package."""
    if spec.scale is None:
        return ""
    file = f"checkpoints/{spec.name}/{dataset}.safetensors"
    return f" Its weights are not in the package; where a checkout has them, give --weights CHECKOUT/{file}."


def _given(spec: ModelSpec, weights: Path, dataset: str) -> _Source:
    """The user's file with the manifest beside it, or else for the architecture of bench's own checkpoint."""
    beside = weights.parent / f"{weights.stem}.json"
    if not beside.is_file():
        return _Source(weights, _find(spec, dataset).architecture, None)
    manifest = Manifest.read(beside)
    if manifest.model != spec.name:
        raise BenchError(f"Weights {weights} are of model {manifest.model!r} by their manifest, not of {spec.name!r}.")
    return _Source(weights, manifest.architecture, manifest)


ENTRY = Source(name="zoo", form="NAME of `bench list models`", load=load, matches=lambda name: ":" not in name)
