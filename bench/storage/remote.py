"""A place in a store that fsspec knows: `s3://`, `gs://`, `memory://` and the like.

Stores have no folders, no rename and no lock. A write is one request that puts a whole object or none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePath, PurePosixPath
from typing import Any, NamedTuple

from bench.core.errors import BenchError, UnknownNameError
from bench.storage.errors import explain_store_errors

__all__ = ["RemotePath", "Stat", "filesystem"]

_WITH_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "r2")


class Stat(NamedTuple):
    """What is known of an object without reading it."""

    st_size: int


@dataclass(frozen=True, order=True)
class RemotePath:
    """An object, or the folder that the beginning of some objects' names looks like.

    Args:
        protocol: such as "s3".
        path: what follows `://`, without a slash at either end.
    """

    protocol: str
    path: str

    @classmethod
    def parse(cls, protocol: str, rest: str) -> RemotePath:
        """Check what stands before and after `://`.

        Raises:
            BenchError: if it is malformed, carries a password, or nothing on this machine understands the protocol.
        """
        url = f"{protocol}://{rest}"
        if "@" in rest.partition("/")[0]:
            raise BenchError(
                f"Expected a URL without a user name, but got one for {protocol}://. Rows record their command:"
                " keep passwords in the store's own configuration."
            )
        parts = rest.strip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise BenchError(f"Expected a URL such as {protocol}://bucket/folder, but got {url!r}.")
        filesystem(protocol)
        return cls(protocol, "/".join(parts))

    def __str__(self) -> str:
        return f"{self.protocol}://{self.path}"

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last part's suffix, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """What lies between the slashes."""
        return tuple(self.path.split("/"))

    @property
    def parent(self) -> RemotePath:
        """The folder around it; the bucket is its own."""
        return next(iter(self.parents), self)

    @property
    def parents(self) -> Sequence[RemotePath]:
        """The folders around it, the nearest first."""
        parts = self.parts
        return tuple(RemotePath(self.protocol, "/".join(parts[:count])) for count in range(len(parts) - 1, 0, -1))

    def __truediv__(self, other: str | PurePath, /) -> RemotePath:
        return RemotePath(self.protocol, f"{self.path}/{PurePosixPath(other)}")

    def with_name(self, name: str, /) -> RemotePath:
        """Another object in the same folder."""
        return self.parent / name

    def relative_to(self, other: RemotePath, /) -> PurePosixPath:
        """What comes after a folder.

        Raises:
            ValueError: if this lies elsewhere.
        """
        return PurePosixPath(self.path).relative_to(other.path)

    def exists(self) -> bool:
        """Whether it is an object or a folder."""
        return self._info() is not None

    def is_file(self) -> bool:
        """Whether it is an object."""
        return (self._info() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        """Whether objects lie in it."""
        return (self._info() or {}).get("type") == "directory"

    def is_symlink(self) -> bool:
        """Stores have no links."""
        return False

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies directly in it; nothing where it is not there."""
        try:
            with explain_store_errors("list", str(self)):
                listed = self._store.ls(str(self), detail=False)
        except FileNotFoundError:
            return
        names = (str(each).rstrip("/").rpartition("/")[2] for each in listed if not self._is_own(str(each)))
        yield from (self / name for name in sorted(names))

    def glob(self, pattern: str, /) -> Iterator[RemotePath]:
        """Objects whose names under this folder fit a pattern such as `*/*.json`, part by part."""
        wanted = pattern.split("/")
        for each in self._below():
            parts = each.split("/")
            if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
                yield self / each

    def stat(self) -> Stat:
        """Its size.

        Raises:
            FileNotFoundError: if it is not there.
        """
        info = self._info()
        if info is None:
            raise FileNotFoundError(str(self))
        return Stat(int(info["size"] or 0))

    def modified(self) -> datetime:
        """When it was last written, by the store's clock.

        Raises:
            FileNotFoundError: if it is not there.
            BenchError: if the store does not tell.
        """
        with explain_store_errors("tell the age of", str(self)):
            when: datetime = self._store.modified(str(self))
        return when

    def read_bytes(self) -> bytes:
        """Its content.

        Raises:
            FileNotFoundError: if it is not there.
            BenchError: if the store refuses.
        """
        with explain_store_errors("read", str(self)):
            return bytes(self._store.cat_file(str(self)))

    def write_bytes(self, content: bytes) -> None:
        """Put the whole object in one request.

        Raises:
            WorkFailedError: if the store is full or does not answer.
            BenchError: if it refuses, or there is no such bucket.
        """
        with explain_store_errors("write", str(self)):
            try:
                self._store.pipe_file(str(self), content)
            except FileNotFoundError as error:
                if self.protocol in _WITH_BUCKETS:
                    raise BenchError(
                        f"Cannot write {self}: there is no bucket {self.parts[0]!r}, or not for you. Make it first, or"
                        " name another."
                    ) from error
                self._store.makedirs(str(self.parent), exist_ok=True)
                self._store.pipe_file(str(self), content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove it.

        Raises:
            FileNotFoundError: if the store says that it is not there, unless `missing_ok`.
            BenchError: if the store refuses.
        """
        try:
            with explain_store_errors("remove", str(self)):
                self._store.rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    @property
    def _store(self) -> Any:
        return filesystem(self.protocol)

    def _info(self) -> dict[str, Any] | None:
        try:
            with explain_store_errors("read", str(self)):
                found: dict[str, Any] = self._store.info(str(self))
        except FileNotFoundError:
            return None
        return found

    def _below(self) -> list[str]:
        """The names of all objects under this folder, as they go on after it."""
        try:
            with explain_store_errors("list", str(self)):
                found = [str(each) for each in self._store.find(str(self))]
        except FileNotFoundError:
            return []
        start = len(str(self._store._strip_protocol(str(self)))) + 1
        return sorted(each[start:] for each in found if not self._is_own(each))

    def _is_own(self, listed: str) -> bool:
        """Whether a listing names the folder itself, as it does where a console made an empty object for it."""
        own = str(self._store._strip_protocol(str(self)))
        return listed.strip("/") == own.strip("/")


@functools.cache
def filesystem(protocol: str) -> Any:
    """What fsspec has for a protocol, without a cache of listings: other processes write too.

    Raises:
        BenchError: if it is unknown, or its package is not installed.
    """
    import fsspec
    from fsspec.registry import known_implementations

    try:
        with explain_store_errors("use", f"{protocol}://"):
            return fsspec.filesystem(protocol, use_listings_cache=False)
    except BenchError as error:
        cause = error.__cause__
        if isinstance(cause, ImportError):
            package = known_implementations[protocol]["class"].partition(".")[0]
            raise BenchError(
                f"Cannot use {protocol}://: the package {package} is not installed. Install it: pip install {package}"
            ) from cause
        if isinstance(cause, ValueError):
            raise UnknownNameError("protocol", protocol, {"file", "s3", "gs", "az", "memory"}) from cause
        raise
