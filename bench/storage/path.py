"""Where journals and leaderboards lie: a folder on this machine, or a URL in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from bench.core.errors import BenchError
from bench.storage.remote import RemotePath

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Place", "Sized", "expanded", "place"]

_LOCAL = ("file", "local")


class Sized(Protocol):
    """What is known of a file without reading it."""

    @property
    def st_size(self) -> int: ...


class Place(Protocol):
    """A file or a folder: the part of `pathlib.Path` that journals and leaderboards use.

    `Path` is one, and `bench.storage.remote.RemotePath` another. Content is written with `write_durably` alone, which
    knows how each becomes whole or not at all.
    """

    @property
    def name(self) -> str: ...
    @property
    def stem(self) -> str: ...
    @property
    def suffix(self) -> str: ...
    @property
    def parent(self) -> Self: ...
    @property
    def parents(self) -> Sequence[Self]: ...
    @property
    def parts(self) -> tuple[str, ...]: ...

    def __truediv__(self, other: str | PurePath, /) -> Self: ...
    def __lt__(self, other: Self, /) -> bool: ...
    def __hash__(self) -> int: ...
    def with_name(self, name: str, /) -> Self: ...
    def relative_to(self, other: Self, /) -> PurePath: ...
    def exists(self) -> bool: ...
    def is_file(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def is_symlink(self) -> bool: ...
    def iterdir(self) -> Iterator[Self]: ...
    def glob(self, pattern: str, /) -> Iterator[Self]: ...
    def stat(self) -> Sized: ...
    def read_bytes(self) -> bytes: ...
    def unlink(self, missing_ok: bool = False) -> None: ...


def place(where: str | Place) -> Place:
    """The place that a user names: a path, or a URL such as `s3://bucket/folder`.

    `file:///folder` is that folder of this machine, with the same lock and the same atomic rename as its path.

    Raises:
        BenchError: if the URL is malformed, carries a password, or nothing on this machine understands its protocol; or
            a path begins with the home folder of nobody.
    """
    if not isinstance(where, str):
        return where
    protocol, is_url, rest = where.partition("://")
    if not is_url:
        return expanded(Path(where))
    if not protocol:
        raise BenchError(f"Expected a URL with a protocol, such as s3://bucket/folder, but got {where!r}.")
    if protocol.lower() in _LOCAL:
        if not rest.startswith("/"):
            raise BenchError(f"Expected an absolute path, such as file:///data/journal, but got {where!r}.")
        return Path(rest)
    return RemotePath.parse(protocol.lower(), rest)


def expanded(path: Path) -> Path:
    """A path whose `~` or `~user` is that user's home.

    Raises:
        BenchError: if there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise BenchError(f"Cannot find the home folder that {path} begins with. Write the whole path.") from error
