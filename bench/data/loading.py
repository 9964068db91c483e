"""Names to datasets: find, read, check, digest."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from bench.core.errors import BenchError, UnknownNameError
from bench.core.registry import Registry
from bench.core.types import Examples, ThreatModel
from bench.data import classes, files, folder, lookup, npz
from bench.data import content as contents
from bench.data.dataset import IMAGE_THREAT_MODELS, Content, Dataset, DatasetSpec, FileContent, Split
from bench.data.preprocessing import Preprocessing
from bench.storage import expanded

__all__ = ["DATASETS", "FOLDER", "is_own", "load", "names", "own_stem"]

DATASETS: Registry[DatasetSpec] = Registry("dataset", "bench.data.datasets")

FOLDER = "folder:"
_OWN_FORMS = ("FILE.npz", "folder:PATH")


def names() -> tuple[str, ...]:
    """The names of all datasets that ship with bench."""
    return DATASETS.names()


def is_own(name: str) -> bool:
    """Whether a name has the form of a user's own data: `file.npz` or `folder:PATH`."""
    return name.startswith(FOLDER) or name.lower().endswith(".npz")


def own_stem(name: str) -> str:
    """How the names of all versions of a user's own data begin; the digest of the version follows.

    >>> own_stem("../My data.npz")
    'npz-my-data-'
    """
    path = expanded(Path(name.removeprefix(FOLDER)))
    return _own_name("folder" if name.startswith(FOLDER) else "npz", path, "") + "-"


def load(
    name: str,
    *,
    data_dir: Path | None = None,
    split: Split = "test",
    class_names: Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """Find one split and check it; what lies in many large files stays there until it is needed.

    Args:
        name: a name from `names()`, the path of an `.npz` file, or `folder:PATH`.
        data_dir: where to look first; it holds, for example, `cifar-10-batches-py/`.
        split: "test" or "train"; a user's own data has only "test".
        class_names: for a user's own data: a file with the names of the model's classes, one a line in its order, of
            which the data may have some; None where its classes are the model's.
        preprocessing: from image files to pixels; None for the dataset's own, and for a folder's images as they are.

    Raises:
        BenchError: if the name is unknown, or the data is missing, damaged or unusable.
    """
    if split not in get_args(Split):
        raise BenchError(f"Unknown split {split!r}. Known: test, train.")
    if data_dir is not None:
        lookup.existing(data_dir)  # also where the dataset needs none, and nothing would be looked up in it
    if is_own(name):
        return _load_own(name, split, classes.read(class_names) if class_names is not None else None, preprocessing)
    if name not in DATASETS and Path(name).is_dir():
        raise BenchError(f"Unknown dataset {name!r}. One folder of images per class is folder:{name}")
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, (*DATASETS.names(), *_OWN_FORMS))
    if class_names is not None:
        raise BenchError(f"Dataset {name!r} has class names of its own; leave --class-names out.")
    spec = DATASETS.get(name)
    if split not in spec.sizes:
        raise BenchError(f"Dataset {name!r} has no split {split}, only {', '.join(spec.sizes)}.")
    content = spec.read(split, data_dir)
    if isinstance(content, FileContent):
        return _load_files(spec, split, content, preprocessing or spec.preprocessing)
    content = contents.checked(content, source=spec.name)
    digest = contents.digest(content)
    if content.notice is None:
        _check_identity(spec, len(content.inputs), split=split, digest=digest)
    examples = contents.to_examples(content)
    return _dataset(spec.name, split, examples, content, digest, spec.threat_models)


def _load_files(spec: DatasetSpec, split: Split, content: FileContent, preprocessing: Preprocessing | None) -> Dataset:
    if preprocessing is None:
        raise ValueError(f"Expected `preprocessing` for {spec.name}, whose images lie in files, but got None.")
    _check_size(spec, len(content.files), split=split)
    examples = files.open_files(content.files, content.labels, preprocessing)
    _check_identity(spec, len(examples), split=split, digest=examples.digest)
    found = _dataset(spec.name, split, examples, content, examples.digest, spec.threat_models)
    return dataclasses.replace(found, base=spec.base, preprocessing=preprocessing)


def _load_own(
    name: str, split: Split, class_names: tuple[str, ...] | None, preprocessing: Preprocessing | None
) -> Dataset:
    if split != "test":
        raise BenchError(f"Dataset {name!r} is evaluation data: it has only the split test, but got {split!r}.")
    path = expanded(Path(name.removeprefix(FOLDER)))
    if name.startswith(FOLDER) and preprocessing is not None:
        found = folder.listed(path, class_names)
        contents.expect_classes(found.class_names, len(found.files), source=str(path))
        files_ = files.open_files(found.files, found.labels, preprocessing)
        own = _own_name("folder", path, files_.digest)
        made = _dataset(own, split, files_, found, files_.digest, IMAGE_THREAT_MODELS)
        return dataclasses.replace(made, preprocessing=preprocessing)
    kind, read = ("folder", folder.read) if name.startswith(FOLDER) else ("npz", npz.read)
    content = contents.checked(read(path, class_names), source=str(path))
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
) -> Dataset:
    return Dataset(
        name=name,
        split=split,
        examples=examples,
        class_names=content.class_names,
        threat_models=MappingProxyType({threat_model.norm: threat_model for threat_model in threat_models}),
        digest=digest,
        notice=content.notice if isinstance(content, Content) else None,
        remarks=content.remarks,
    )
