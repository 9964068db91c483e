"""Arrays in one file: a `.npz` that holds nothing but arrays, the same bytes for the same arrays, read without trust.

`numpy.load(allow_pickle=False)` reads what `dump` writes. `load` reads what anybody wrote: never a pickle, never more
memory than was allowed, only arrays that were asked for.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

__all__ = ["Array", "ArrayHeader", "Layout", "compression_level", "dump_arrays", "load_arrays", "read_array_header"]

Array = NDArray[Any]

_SUFFIX = ".npy"
# Measured on changes of 224 x 224 images by +-4/255: level 9 takes 140 to 440 ms per image, level 4 takes 3 ms and is
# 15 % larger. Smaller images come in smaller arrays, where the best costs nothing that counts.
_BEST, _QUICK = 9, 4
_SMALL = 4 << 20

_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive knows; it makes equal arrays equal bytes
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_HEADER = 10_000
_LONGEST_AXIS = 1 << 40
_ENCRYPTED = 0x1
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip archive's directory
_MOST_MEMBERS = 64


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What an array must be.

    Args:
        kinds: names of its dtype without byte order ("int8"); "str" stands for text of any length.
        ndim: its number of axes.
        optional: the file may lack it.
    """

    kinds: tuple[str, ...]
    ndim: int
    optional: bool = False

    def fits(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether an array of this type and shape is one."""
        name = "str" if dtype.kind == "U" else dtype.name
        return name in self.kinds and len(shape) == self.ndim and not dtype.hasobject

    def __str__(self) -> str:
        axes = {0: "a single number", 1: "one axis"}.get(self.ndim, f"{self.ndim} axes")
        return f"{' or '.join(self.kinds)} with {axes}"


class ArrayHeader(NamedTuple):
    """What the first bytes of a `.npy` say about the rest.

    Attributes:
        shape: of the array; no length is negative.
        fortran: whether the first axis runs fastest.
        dtype: of the array.
        start: where its values start.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def n_bytes(self) -> int:
        """What the values take, where they are no pickle."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array_header(member: IO[bytes], name: str) -> ArrayHeader:
    """Read the header of a `.npy`, and nothing more.

    Args:
        member: the file, at its start.
        name: of the array, for the message.

    Raises:
        ValueError: if it is damaged, or of a version for other arrays than bench knows.
    """
    try:
        version = npy.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"its version is {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(member, max_header_size=_LONGEST_HEADER)
        # Texts of no letters take no bytes, however many there are.
        if any(not 0 <= length <= _LONGEST_AXIS for length in shape) or (not dtype.itemsize and 0 not in shape):
            raise ValueError(f"its shape is {shape!s:.60}")
    except Exception as error:  # numpy reads a header as Python, which raises whatever it likes
        raise ValueError(f"Expected array {name} as .npy, but its header is damaged: {error}") from error
    return ArrayHeader(shape, fortran, dtype, member.tell())


def dump_arrays(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a `.npz` of `arrays`, compressed, in their order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            npy.write_array(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            info = zipfile.ZipInfo(name + _SUFFIX, _WHEN)
            level = compression_level(member.tell())
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=level)
    return buffer.getvalue()


def compression_level(n_bytes: int) -> int:
    """How hard an array of so many bytes is compressed."""
    return _BEST if n_bytes <= _SMALL else _QUICK


def load_arrays(
    content: bytes, layouts: Mapping[str, Layout], *, most_bytes: int, partial: bool = False
) -> dict[str, Array]:
    """Read the arrays that `layouts` names out of a `.npz`.

    Args:
        content: its bytes.
        layouts: what is expected, by name.
        most_bytes: memory that the arrays may take, all together.
        partial: pass over arrays that `layouts` does not name, instead of refusing them.

    Raises:
        ValueError: if it is no such archive, is damaged, holds something else, or would take more memory.
    """
    if content.count(_ENTRY) > _MOST_MEMBERS:  # before zipfile makes an object of each
        raise ValueError(f"Expected at most {_MOST_MEMBERS} arrays, but got more.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _members(archive, layouts, partial=partial)
            total = sum(info.file_size for info in members.values())
            if total > most_bytes:
                raise ValueError(f"Expected arrays of at most {most_bytes:,} bytes, but got {total:,}.")
            return {name: _read(_unpacked(archive, info), name, layouts[name]) for name, info in members.items()}
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"Expected a whole .npz archive, but it is damaged: {error}") from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member; never more than it says that they are, whatever is packed in it."""
    with archive.open(info) as member:
        content = member.read(info.file_size)
        if len(content) < info.file_size or member.read(1):
            raise ValueError(f"Expected {info.file_size:,} bytes in {info.filename!r:.60}, but got another number.")
    return content


def _members(archive: zipfile.ZipFile, layouts: Mapping[str, Layout], *, partial: bool) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(_SUFFIX)
        if name == info.filename or name not in layouts:
            if partial:
                continue
            raise ValueError(f"Expected only the arrays {', '.join(layouts)}, but got {info.filename!r:.60}.")
        if name in found:
            raise ValueError(f"Expected one array {name}, but got two.")
        if info.compress_type not in _COMPRESSIONS or info.flag_bits & _ENCRYPTED:
            raise ValueError(f"Expected array {name} stored or deflated, but it is compressed otherwise or encrypted.")
        found[name] = info
    missing = [name for name, layout in layouts.items() if name not in found and not layout.optional]
    if missing:
        raise ValueError(f"Expected the array {missing[0]}, but found {', '.join(found) or 'none'}.")
    return found


def _read(content: bytes, name: str, layout: Layout) -> Array:
    """Parse one `.npy`: its header must account for every byte."""
    header = read_array_header(io.BytesIO(content), name)
    shape, fortran, dtype = header.shape, header.fortran, header.dtype
    if not layout.fits(dtype, shape):
        raise ValueError(f"Expected array {name} to be {layout}, but got {dtype.name} of shape {shape!s:.60}.")
    body = memoryview(content)[header.start :]
    if header.n_bytes != len(body):
        raise ValueError(f"Expected array {name} to hold {shape!s:.60} of {dtype.name}, but it has {len(body)} bytes.")
    if not body:
        return np.empty(shape, dtype)
    if dtype.kind == "b" and max(body, default=0) > 1:
        raise ValueError(f"Expected array {name} to hold 0 and 1, but got another byte.")
    array = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
    found = np.array(array, dtype=dtype.newbyteorder("="), order="C")
    if dtype.kind == "U" and not _is_text(found.view(np.uint32)):
        raise ValueError(f"Expected array {name} to hold text, but got what is no letter.")
    return found


def _is_text(codes: NDArray[np.uint32]) -> bool:
    """Whether all are code points of Unicode, and none is half of a surrogate pair."""
    return bool(((codes < 0xD800) | ((codes > 0xDFFF) & (codes <= 0x10FFFF))).all())
