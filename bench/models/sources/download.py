"""Weights from hubs and addresses, kept where their libraries keep them: what lies there is taken without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.models.sources.library import imported, quiet
from bench.storage import MOST_WEIGHTS_BYTES, sha256_of

__all__ = ["HubSnapshot", "from_address", "from_hub", "remark_on", "weights_in"]

_SECONDS = 20
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What weights are called in a snapshot, the likeliest first; an index names several files."""
_CONFIGURATION = ("config.json", "preprocessor_config.json", "processor_config.json")
_SHARD = re.compile(r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)")
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")


class HubSnapshot(NamedTuple):
    """A folder with the files of a repository on the hub; the commit that they are of."""

    folder: Path
    commit: str


def from_hub(name: str, repository: str, revision: str | None, *, configured: bool = True) -> HubSnapshot:
    """The weights, and what else says what they are of, in a repository on Hugging Face's hub.

    Args:
        name: of the model, for messages.
        repository: such as "timm/resnet18.a1_in1k".
        revision: a branch, tag or commit; None for the main branch.
        configured: weights alone, without `config.json`, are not enough.

    Raises:
        BenchError: if there is no such repository or revision, or nothing answers and the cache does not have it.
    """
    hub = imported("huggingface_hub", extra="hf")
    try:
        found = Path(hub.snapshot_download(repository, revision=revision, local_files_only=True))
        if weights_in(found) and (not configured or (found / _CONFIGURATION[0]).is_file()):
            return HubSnapshot(found, found.name)
    except FileNotFoundError:
        pass
    except ValueError as error:  # of names that cannot be
        raise BenchError(f"Expected a repository of the hub in {name!r}: {reason_of(error)}") from None
    try:
        with quiet():
            return _downloaded(hub, repository, revision)
    except BenchError:
        raise
    except Exception as error:  # of the hub's, of its client's, or of the system's
        raise BenchError(_why_not(error, name, repository, revision)) from error


def weights_in(folder: Path) -> Path | None:
    """The weights of a snapshot: one file, or the index of several; None where there are none."""
    return next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)


def from_address(address: str, name: str) -> Path:
    """The file of weights at an address, in torch's own cache.

    Raises:
        BenchError: if it is not there and cannot be downloaded.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(address).path).name
    if file.is_file():
        return file
    stated = _HASH.search(file.name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with quiet():
            torch.hub.download_url_to_file(address, str(file), stated[1] if stated else None, progress=False)
    except Exception as error:
        raise BenchError(
            f"The weights of {name!r} are not at {file} and cannot be downloaded ({reason_of(error):.80}):"
            f" put {address} there"
        ) from error
    return file


def remark_on(file: Path) -> tuple[str, ...]:
    """That a cached file is not the one that its name promises, by the digest in it."""
    stated = _HASH.search(file.name)
    if stated is None:
        return ()
    found = sha256_of(file)
    return () if found.startswith(stated[1]) else (f"{file} is not the published file: its SHA-256 is {found[:12]}.",)


def _downloaded(hub: Any, repository: str, revision: str | None) -> HubSnapshot:
    info = hub.HfApi().model_info(repository, revision=revision, timeout=_SECONDS, files_metadata=True)
    sizes = {each.rfilename: each.size or 0 for each in info.siblings}
    weights = next((each for each in _WEIGHTS if each in sizes), None)
    if _CONFIGURATION[0] not in sizes or weights is None:
        lacking = "config.json" if weights is not None else "weights (model.safetensors or pytorch_model.bin)"
        raise BenchError(f"Repository {repository!r} of the hub has no {lacking}: it is no image classifier.")
    kind = weights.removesuffix(".index.json").rpartition(".")[2]
    shards = [each for each in sizes if weights.endswith(".json") and _SHARD.fullmatch(each) and each.endswith(kind)]
    files = [*(each for each in _CONFIGURATION if each in sizes), weights, *shards]
    if sum(sizes[each] for each in files) > MOST_WEIGHTS_BYTES:
        raise BenchError(f"Repository {repository!r} of the hub holds more than {MOST_WEIGHTS_BYTES >> 30} GiB.")
    paths = [Path(hub.hf_hub_download(repository, each, revision=info.sha)) for each in files]
    return HubSnapshot(paths[0].parent, info.sha)


def _why_not(error: Exception, name: str, repository: str, revision: str | None) -> str:
    # The package itself loads its parts late, or not at all.
    errors = imported("huggingface_hub.errors", extra="hf")
    constants = imported("huggingface_hub.constants", extra="hf")
    if isinstance(error, errors.GatedRepoError):
        return f"Repository {repository!r} asks for an agreement first: accept it on the hub, then `hf auth login`."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"Repository {repository!r} of the hub has no revision {revision!r}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"The hub has no repository {repository!r} (or it is private: `hf auth login`)."
    if isinstance(error, errors.HFValidationError):
        return f"Expected a repository of the hub in {name!r}: {reason_of(error)}"
    at = f" --revision {revision}" if revision else ""
    return (
        f"{name!r} is not in {constants.HF_HUB_CACHE} and cannot be downloaded ({reason_of(error):.80}): run"
        f" `hf download {repository}{at}` where there is a network, and copy the folder that it names there."
    )
