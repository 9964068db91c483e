"""Arrays in a file that a stranger may have written."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest

from bench.row.arrays.npz import Layout, dump_arrays, load_arrays

LAYOUTS = {
    "numbers": Layout(kinds=("int64",), ndim=1),
    "words": Layout(kinds=("str",), ndim=1, optional=True),
    "flags": Layout(kinds=("bool",), ndim=1, optional=True),
}


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def member(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_arrays_come_back_and_numpy_reads_them() -> None:
    """Values, types and shapes; `numpy.load` without pickles finds the same."""
    arrays = {"numbers": np.arange(5), "words": np.array(["cat", "dög"]), "flags": np.array([True, False])}
    content = dump_arrays(arrays)
    found = load_arrays(content, LAYOUTS, most_bytes=10_000)
    with np.load(io.BytesIO(content), allow_pickle=False) as read:
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and (found[name] == array).all() and (read[name] == array).all()


def test_equal_arrays_are_equal_bytes() -> None:
    """No clock and no memory order gets into the file."""
    square = np.arange(4).reshape(2, 2)
    assert dump_arrays({"a": square}) == dump_arrays({"a": np.asfortranarray(square)}) != dump_arrays({"a": square.T})


def test_fortran_and_big_endian_arrays_are_read_as_what_they_mean() -> None:
    """Other writers order memory and bytes otherwise."""
    layouts = {"a": Layout(kinds=("int64",), ndim=2)}
    wanted = np.arange(6).reshape(2, 3)
    for array in (np.asfortranarray(wanted), wanted.astype(">i8")):
        found = load_arrays(archive(("a.npy", member(array))), layouts, most_bytes=1000)["a"]
        assert (found == wanted).all() and found.dtype == np.int64 and found.flags.c_contiguous


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"PK nonsense", "damaged"),
        (archive(), "Expected the array numbers, but found none"),
        (archive(("numbers.npy", b"")), "header is damaged"),
        (archive(("numbers.npy", member(np.arange(3))[:-1])), "23 bytes"),
        (archive(("numbers.npy", member(np.arange(3)) + b"x")), "25 bytes"),
        (archive(("numbers.npy", member(np.arange(3.0)))), "to be int64 with one axis, but got float64"),
        (archive(("numbers.npy", member(np.zeros((1, 2), np.int64)))), r"of shape \(1, 2\)"),
        (archive(("numbers.npy", member(np.arange(3))), ("more.npy", b"")), "only the arrays"),
        (archive(("numbers.npy", member(np.arange(3))), ("../flags.npy", b"")), "only the arrays"),
        (archive(("numbers", member(np.arange(3)))), "only the arrays"),
        (archive(("numbers.npy", member(np.arange(3))), compression=zipfile.ZIP_LZMA), "stored or deflated"),
        (archive(("numbers.npy", b"\x93NUMPY\x03\x00" + b"\0" * 20)), "version"),
        (
            archive(
                ("numbers.npy", member(np.arange(3))),
                ("flags.npy", member(np.array([True])).replace(b"\n\x01", b"\n\x02")),
            ),
            "0 and 1",
        ),
    ],
)
def test_what_is_no_such_archive_is_refused(content: bytes, message: str) -> None:
    """Cut short, mislabelled, of another type or shape, with more in it than was asked for: a ValueError says which."""
    with pytest.raises(ValueError, match=message):
        load_arrays(content, LAYOUTS, most_bytes=10_000)


def test_two_arrays_of_one_name_are_refused() -> None:
    """Which of them would count?"""
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive(("numbers.npy", member(np.arange(3))), ("numbers.npy", member(np.arange(4))))
    with pytest.raises(ValueError, match="got two"):
        load_arrays(content, LAYOUTS, most_bytes=10_000)


class _Bomb:
    fired = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (_Bomb, "fired", True))


def test_a_pickle_is_never_run() -> None:
    """Neither as an array of objects nor in place of an array."""
    objects = member(np.array([_Bomb()], dtype=object), allow_pickle=True)
    for content in (objects, pickle.dumps(_Bomb())):
        with pytest.raises(ValueError, match="numbers"):
            load_arrays(archive(("numbers.npy", content)), LAYOUTS, most_bytes=10_000)
    assert not _Bomb.fired


def test_memory_is_bounded_before_anything_is_unpacked() -> None:
    """An archive that would unfold to more than allowed is refused by its own table of contents."""
    content = dump_arrays({"numbers": np.zeros(1_000_000, np.int64)})
    assert len(content) < 20_000
    with pytest.raises(ValueError, match="at most 100,000 bytes, but got 8,000,128"):
        load_arrays(content, LAYOUTS, most_bytes=100_000)


def test_a_table_of_contents_that_lies_about_sizes_is_refused() -> None:
    """The size that it gives is all that is unpacked, and then the checksum does not fit."""
    content = bytearray(dump_arrays({"numbers": np.zeros(1_000_000, np.int64)}))
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 1000)
    with pytest.raises(ValueError, match="damaged"):
        load_arrays(bytes(content), LAYOUTS, most_bytes=100_000)


def test_only_what_is_asked_for_is_read() -> None:
    """`partial` passes over the rest, whatever its size."""
    content = dump_arrays({"numbers": np.arange(2), "large": np.zeros(1_000_000)})
    assert list(load_arrays(content, LAYOUTS, most_bytes=1000, partial=True)) == ["numbers"]


@pytest.mark.parametrize(("count", "level"), [(1 << 16, 9), (1 << 20, 4)])
def test_large_arrays_are_not_compressed_for_hours(count: int, level: int) -> None:
    """As well as can be where they are small, quickly where they are large; both come back."""
    numbers = np.random.default_rng(0).integers(0, 2, count, dtype=np.int64) * 8 - 4
    content = dump_arrays({"numbers": numbers})
    assert np.array_equal(load_arrays(content, LAYOUTS, most_bytes=1 << 30)["numbers"], numbers)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        (info,) = file.infolist()
        deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
        assert info.compress_size == len(deflate.compress(file.read(info)) + deflate.flush())


def header(text: str) -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text) + 1) + text.encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("words", header("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }"), "header is damaged"),
        (
            "numbers",
            header("{'descr': '<i8', 'fortran_order': False, 'shape': (" + "9" * 400 + ",), }"),
            "header is damaged",
        ),
        ("numbers", header("(" * 5000), "header is damaged"),
        ("numbers", header("{'descr': "), "header is damaged"),
        ("words", member(np.array([0xD800], np.uint32).view("<U1")), "no letter"),
        ("words", member(np.array([0x110000], np.uint32).view("<U1")), "no letter"),
    ],
)
def test_headers_that_promise_what_is_not_there_are_refused(name: str, content: bytes, message: str) -> None:
    """Texts of no letters take no bytes, however many; a number of 400 digits is no length; not every code is text."""
    with pytest.raises(ValueError, match=message):
        load_arrays(
            archive((f"{name}.npy", content)), {name: Layout(kinds=("int64", "str"), ndim=1)}, most_bytes=10_000
        )


def test_a_bomb_is_not_unpacked_beyond_the_size_that_it_claims() -> None:
    """A member that claims 200 bytes and holds 100 million is given up after 200."""
    content = bytearray(archive(("numbers.npy", bytes(100_000_000)), compression=zipfile.ZIP_DEFLATED))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(signature) + place
        content[start : start + 4] = struct.pack("<I", 200)
    with pytest.raises(ValueError, match=r"200 bytes|damaged"):
        load_arrays(bytes(content), LAYOUTS, most_bytes=10_000)


def test_thousands_of_members_are_refused_before_they_are_listed() -> None:
    """Nobody asked for them."""
    content = archive(*((f"{number}.npy", b"") for number in range(100)))
    with pytest.raises(ValueError, match="at most 64 arrays"):
        load_arrays(content, LAYOUTS, most_bytes=10_000, partial=True)
