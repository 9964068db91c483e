"""Names to datasets: find, read, check, digest."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from bench.core.errors import BenchError, UnknownNameError
from bench.core.registry import Registry
from bench.core.types import ThreatModel
from bench.data import content as contents
from bench.data import folder, npz
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, Dataset, DatasetSpec, Split

__all__ = ["DATASETS", "load", "names"]

DATASETS: Registry[DatasetSpec] = Registry("dataset", "bench.data.datasets")

_OWN_FORMS = ("FILE.npz", "folder:PATH")


def names() -> tuple[str, ...]:
    """The names of all datasets that ship with bench."""
    return DATASETS.names()


def load(name: str, *, data_dir: Path | None = None, split: Split = "test") -> Dataset:
    """Read one split into memory and check it.

    Args:
        name: a name from `names()`, the path of an `.npz` file, or `folder:PATH`.
        data_dir: where to look first; it holds, for example, `cifar-10-batches-py/`.
        split: "test" or "train"; a user's own data has only "test".

    Raises:
        BenchError: if the name is unknown, or the data is missing, damaged or unusable.
    """
    if split not in get_args(Split):
        raise BenchError(f"Unknown split {split!r}. Known: test, train.")
    if name.startswith("folder:") or name.lower().endswith(".npz"):
        return _load_own(name, split)
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, (*DATASETS.names(), *_OWN_FORMS))
    spec = DATASETS.get(name)
    content = spec.read(split, data_dir)
    contents.check(content, source=spec.name)
    digest = contents.digest(content)
    if content.notice is None:
        _check_identity(spec, content, split=split, digest=digest)
    return _dataset(spec.name, split, content, digest, spec.threat_models)


def _load_own(name: str, split: Split) -> Dataset:
    if split != "test":
        raise BenchError(f"Dataset {name!r} is evaluation data: it has only the split test, but got {split!r}.")
    path = Path(name.removeprefix("folder:")).expanduser()
    kind, content = ("folder", folder.read(path)) if name.startswith("folder:") else ("npz", npz.read(path))
    contents.check(content, source=str(path))
    digest = contents.digest(content)
    return _dataset(_own_name(kind, path, digest), split, content, digest, IMAGE_THREAT_MODELS)


def _own_name(kind: str, path: Path, digest: str) -> str:
    """A name that is safe as a folder, and that neither other data nor a shipped dataset can have.

    >>> _own_name("npz", Path("../My data.npz"), "0123456789abcdef")
    'npz-my-data-01234567'
    """
    stem = path.resolve().stem if kind == "npz" else path.resolve().name
    word = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40]
    return "-".join(part for part in (kind, word, digest[:8]) if part)


def _check_identity(spec: DatasetSpec, content: Content, *, split: Split, digest: str) -> None:
    if len(content.inputs) != spec.sizes[split]:
        raise BenchError(
            f"Expected {spec.sizes[split]} {split} examples in {spec.name}, but found {len(content.inputs)}."
            " Delete the data folder and fetch it again."
        )
    pinned = spec.digests.get(split)
    if pinned is not None and digest != pinned:
        raise BenchError(
            f"The {split} split of {spec.name} is not the official data: expected digest {pinned[:12]},"
            f" but got {digest[:12]}. Delete the data folder and fetch it again."
        )


def _dataset(name: str, split: Split, content: Content, digest: str, threat_models: tuple[ThreatModel, ...]) -> Dataset:
    return Dataset(
        name=name,
        split=split,
        examples=contents.to_examples(content),
        class_names=content.class_names,
        threat_models=MappingProxyType({threat_model.norm: threat_model for threat_model in threat_models}),
        digest=digest,
        notice=content.notice,
    )
