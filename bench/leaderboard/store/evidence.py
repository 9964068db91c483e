"""The files of adversarial examples beside a row: `<model>.evidence.<sha256>.npz`, and `<model>.external.<sha256>.npz`.

Twelve digits of its SHA-256 are part of a file's name, so that a new file never overwrites the one that a row still
points to: files are written first, then the row, and what it no longer points to is removed last. A crash in between
leaves a file too many, never a row without its evidence.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from bench.core import digest
from bench.core.errors import BenchError, OtherFileError
from bench.core.plain_text import counted
from bench.row import LARGEST_SHAPE, TEST_SPLITS, EvidenceFile, Record, listed_indices
from bench.storage import Place, read_regular, write_durably

if TYPE_CHECKING:
    from bench.row.arrays import Breaks

__all__ = [
    "EvidenceKind",
    "broken_of",
    "external_of",
    "link_of",
    "most_bytes_of",
    "path_of",
    "read_breaks",
    "read_file",
    "remove_stale",
    "shape_of",
    "write",
]

_DIGITS = 12
_MOST_BYTES = 4 << 30
_MOST_UNKNOWN_BYTES = 256 << 20


class EvidenceKind(str, enum.Enum):
    """Whose breaks a file holds.

    Attributes:
        OWN: what the row's own suite broke.
        EXTERNAL: what others broke.
    """

    OWN = "evidence"
    EXTERNAL = "external"


def link_of(record: Record, kind: EvidenceKind) -> EvidenceFile | None:
    """What the row says about its file; None where it has none."""
    return record.evidence if kind is EvidenceKind.OWN else record.external_evidence


def path_of(row: Place, kind: EvidenceKind, link: EvidenceFile) -> Place:
    """Where a file lies.

    Args:
        row: the path of the row, whose name without `.json` begins the file's.
        kind: whose breaks.
        link: what the row says about the file.
    """
    return row.with_name(f"{row.stem}.{kind.value}.{link.sha256[:_DIGITS]}.npz")


def shape_of(record: Record) -> tuple[int, int, int]:
    """Shape `(C, H, W)` of the row's inputs; of data that is not known here, what is expected at most."""
    known = TEST_SPLITS.get(record.dataset)
    return LARGEST_SHAPE if known is None else known.shape


def most_bytes_of(record: Record) -> int:
    """Memory that one of the row's files can need, and more than it has bytes: a break of each of its examples."""
    from bench.row.arrays import most_evidence_bytes

    most = _MOST_BYTES if record.dataset in TEST_SPLITS else _MOST_UNKNOWN_BYTES
    return min(most, most_evidence_bytes(record.result.n_examples, shape_of(record)))


def read_file(row: Place, record: Record, kind: EvidenceKind) -> bytes | None:
    """The bytes of a file, which are those that the row was written with; None where the row has none.

    Args:
        row: the path of the row.
        record: the row.
        kind: whose breaks.

    Raises:
        OtherFileError: if the file is missing, or is not the one that the row was written with.
        BenchError: if it cannot be read, or is a symbolic link.
    """
    link = link_of(record, kind)
    if link is None:
        return None
    path = path_of(row, kind, link)
    if path.is_symlink():
        raise BenchError(f"Cannot use {path}: it is a symbolic link. Put the real file there.")
    try:
        content = read_regular(path, most_bytes=most_bytes_of(record))
    except FileNotFoundError:
        raise OtherFileError(f"Evidence {path} is missing, but its row points to it.") from None
    except OSError as error:
        raise BenchError(f"Cannot read evidence {path}: {error.strerror or error}.") from error
    actual = digest.of_content(content)
    if actual != link.sha256:
        raise OtherFileError(
            f"Evidence {path} was changed after its row was written: expected sha256 {link.sha256[:_DIGITS]},"
            f" but got {actual[:_DIGITS]}."
        )
    return content


def read_breaks(
    row: Place, record: Record, kind: EvidenceKind, *, shape: tuple[int, ...] | None = None
) -> Breaks | None:
    """The breaks in a file, which are one of each example that the row calls broken; None where the row has no file.

    Args:
        row: the path of the row.
        record: the row.
        kind: whose breaks.
        shape: of one input, `(C, H, W)`; None where the data is not at hand.

    Raises:
        OtherFileError: as `read_file`, and if the file does not hold the breaks that the row says.
        BenchError: as `read_file`.
    """
    # Rows are shown where numpy is not installed.
    from bench.row.arrays import load_evidence, load_gallery, most_evidence_bytes

    content = read_file(row, record, kind)
    if content is None:
        return None
    n_examples = record.result.n_examples
    most = most_bytes_of(record) if shape is None else most_evidence_bytes(n_examples, shape)
    try:
        breaks = load_evidence(content, most_bytes=most)
        if kind is EvidenceKind.OWN and shape is not None:
            load_gallery(content, shape=shape)
    except ValueError as error:
        raise OtherFileError(str(error)) from error
    problem = _problem(breaks, record, kind, shape)
    if problem:
        raise OtherFileError(problem)
    return breaks


def broken_of(record: Record, kind: EvidenceKind) -> frozenset[int]:
    """Indices of the examples that a file of this kind must have a break of."""
    return record.result.shown() if kind is EvidenceKind.OWN else record.broken_by_others()


def external_of(row: Place, record: Record, indices: Collection[int]) -> tuple[EvidenceFile, bytes] | None:
    """What others broke of some examples alone, as a file and what a row says about it.

    Args:
        row: the path of the row.
        record: the row.
        indices: of the examples, at least one of them broken.

    Returns:
        The file; None where the row's own is missing or not the one that it was written with, so that it shows nothing.
    """
    # Rows are shown where numpy is not installed.
    import numpy as np

    from bench.row.arrays import dump_evidence, load_evidence

    try:
        content = read_file(row, record, EvidenceKind.EXTERNAL)
        if content is None:
            return None
        breaks = load_evidence(content, most_bytes=most_bytes_of(record))
    except (OtherFileError, ValueError):
        return None
    part = breaks.pick(np.isin(breaks.indices, sorted(indices)))
    content = dump_evidence(part)
    return EvidenceFile(sha256=digest.of_content(content), n_breaks=len(part)), content


def write(row: Place, record: Record, files: Mapping[EvidenceKind, bytes]) -> None:
    """Write files durably beside a row that is yet to be written.

    Raises:
        ValueError: if the row does not point to a file.
        BenchError: if the folder cannot be written.
    """
    for kind, content in files.items():
        link = link_of(record, kind)
        if link is None or link.sha256 != digest.of_content(content):
            raise ValueError(f"Expected `record` to point to its {kind.value}, but got {link}.")
        path = path_of(row, kind, link)
        if path.is_symlink():
            raise BenchError(f"Cannot use {path}: it is a symbolic link. Put a real file there.")
        write_durably(path, content)


def remove_stale(row: Place, record: Record) -> None:
    """Remove the files of this row's name that it does not point to; the board is held, so nobody is writing one."""
    links = ((kind, link_of(record, kind)) for kind in EvidenceKind)
    kept = {path_of(row, kind, link) for kind, link in links if link is not None}
    kinds = "|".join(kind.value for kind in EvidenceKind)
    name = re.compile(rf"{re.escape(row.stem)}\.({kinds})\.[0-9a-f]{{{_DIGITS}}}\.npz")
    for path in row.parent.iterdir():
        if name.fullmatch(path.name) and path not in kept:
            with contextlib.suppress(OSError):  # one too many does no harm
                path.unlink(missing_ok=True)


def _problem(breaks: Breaks, record: Record, kind: EvidenceKind, shape: tuple[int, ...] | None) -> str:
    """Why these are not the breaks that the row says; empty where they are."""
    if shape is not None and breaks.shape != shape:
        return f"its inputs are of shape {breaks.shape}, but the data's are {shape}"
    link = link_of(record, kind)
    if link is not None and len(breaks) != link.n_breaks:
        return f"it holds {counted(len(breaks), 'break')}, but the row says {link.n_breaks}"
    held, wanted = set(breaks.indices.tolist()), broken_of(record, kind)
    if held - wanted:
        return f"it breaks examples that the row does not call broken: {listed_indices(held - wanted)}"
    if wanted - held:
        return f"no break of examples that the row calls broken: {listed_indices(wanted - held)}"
    return ""
