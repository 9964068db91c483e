"""Names to datasets: find, read, check, digest."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from bench.core.errors import BenchError, UnknownNameError
from bench.core.registry import Registry
from bench.core.types import Examples, ThreatModel
from bench.data import content as contents
from bench.data import files, folder, npz
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, Dataset, DatasetSpec, FileContent, Split

__all__ = ["DATASETS", "load", "names"]

DATASETS: Registry[DatasetSpec] = Registry("dataset", "bench.data.datasets")

_OWN_FORMS = ("FILE.npz", "folder:PATH")


def names() -> tuple[str, ...]:
    """The names of all datasets that ship with bench."""
    return DATASETS.names()


def load(name: str, *, data_dir: Path | None = None, split: Split = "test") -> Dataset:
    """Find one split and check it; what lies in many large files stays there until it is needed.

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
    if split not in spec.sizes:
        raise BenchError(f"Dataset {name!r} has no split {split}, only {', '.join(spec.sizes)}.")
    content = spec.read(split, data_dir)
    if isinstance(content, FileContent):
        return _load_files(spec, split, content)
    contents.check(content, source=spec.name)
    digest = contents.digest(content)
    if content.notice is None:
        _check_identity(spec, len(content.inputs), split=split, digest=digest)
    examples = contents.to_examples(content)
    return _dataset(spec.name, split, examples, content, digest, spec.threat_models)


def _load_files(spec: DatasetSpec, split: Split, content: FileContent) -> Dataset:
    _check_size(spec, len(content.files), split=split)
    examples = files.open_files(content.files, content.labels, content.prepare)
    _check_identity(spec, len(examples), split=split, digest=examples.digest)
    return _dataset(spec.name, split, examples, content, examples.digest, spec.threat_models, base=spec.base)


def _load_own(name: str, split: Split) -> Dataset:
    if split != "test":
        raise BenchError(f"Dataset {name!r} is evaluation data: it has only the split test, but got {split!r}.")
    path = Path(name.removeprefix("folder:")).expanduser()
    kind, content = ("folder", folder.read(path)) if name.startswith("folder:") else ("npz", npz.read(path))
    contents.check(content, source=str(path))
    digest = contents.digest(content)
    examples = contents.to_examples(content)
    return _dataset(_own_name(kind, path, digest), split, examples, content, digest, IMAGE_THREAT_MODELS)


def _own_name(kind: str, path: Path, digest: str) -> str:
    """A name that is safe as a folder, and that neither other data nor a shipped dataset can have.

    >>> _own_name("npz", Path("../My data.npz"), "0123456789abcdef")
    'npz-my-data-01234567'
    """
    stem = path.resolve().stem if kind == "npz" else path.resolve().name
    word = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40]
    return "-".join(part for part in (kind, word, digest[:8]) if part)


def _check_size(spec: DatasetSpec, size: int, *, split: Split) -> None:
    if size != spec.sizes[split]:
        raise BenchError(
            f"Expected {spec.sizes[split]} {split} examples in {spec.name}, but found {size}."
            " Delete the data folder and fetch it again."
        )


def _check_identity(spec: DatasetSpec, size: int, *, split: Split, digest: str) -> None:
    _check_size(spec, size, split=split)
    pinned = spec.digests.get(split)
    if pinned is not None and digest != pinned:
        raise BenchError(
            f"The {split} split of {spec.name} is not the official data: expected digest {pinned[:12]},"
            f" but got {digest[:12]}. Delete the data folder and fetch it again."
        )


def _dataset(
    name: str,
    split: Split,
    examples: Examples,
    content: Content | FileContent,
    digest: str,
    threat_models: tuple[ThreatModel, ...],
    base: str | None = None,
) -> Dataset:
    return Dataset(
        name=name,
        split=split,
        examples=examples,
        class_names=content.class_names,
        threat_models=MappingProxyType({threat_model.norm: threat_model for threat_model in threat_models}),
        digest=digest,
        base=base,
        notice=content.notice if isinstance(content, Content) else None,
    )
