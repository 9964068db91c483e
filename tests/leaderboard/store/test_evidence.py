"""Files of adversarial examples beside rows: never missing, never another row's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core import digest
from bench.core.errors import BenchError, OtherFileError
from bench.leaderboard import amend, read, write
from bench.leaderboard.store import writing
from bench.leaderboard.store.evidence import EvidenceKind, path_of, read_file
from bench.row.record import EvidenceFile, ExternalBreak, Record

Make = Callable[..., Record]


def link(content: bytes) -> EvidenceFile:
    return EvidenceFile(sha256=digest.of_content(content), n_breaks=1)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.npz"))


def broken_by_others(*indices: int) -> ExternalBreak:
    return ExternalBreak(source="a", by="b", date="2026-01-01", n=len(indices), indices=indices)


def test_evidence_lies_beside_its_row(tmp_path: Path, record: Make) -> None:
    """Named by the model and by its own digest; read back as written."""
    row = record([True, False], evidence=link(b"breaks"))
    path = write(row, tmp_path, evidence=b"breaks").path
    assert files(tmp_path) == [f"pgd-at.evidence.{digest.of_content(b'breaks')[:12]}.npz"]
    assert read_file(path, read(path), EvidenceKind.OWN) == b"breaks"
    assert read_file(path, read(path), EvidenceKind.EXTERNAL) is None


def test_a_file_that_the_row_does_not_point_to_is_not_written(tmp_path: Path, record: Make) -> None:
    """A mistake of the program's, caught before anything is there."""
    with pytest.raises(ValueError, match="point to its evidence"):
        write(record([True], evidence=link(b"one")), tmp_path, evidence=b"other")
    assert files(tmp_path) == [] and not list(tmp_path.rglob("pgd-at.json"))


def test_a_crash_between_file_and_row_leaves_the_old_row_whole(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is there, the row still points to the old one, which is there too; the next run tidies up."""
    path = write(record([True, False], evidence=link(b"old")), tmp_path, evidence=b"old").path
    new = record([False, False], evidence=link(b"new"))
    write_durably = writing.write_durably

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_durably", crash)
    with pytest.raises(KeyboardInterrupt):
        write(new, tmp_path, evidence=b"new", force=True)
    assert read_file(path, read(path), EvidenceKind.OWN) == b"old" and len(files(tmp_path)) == 2
    monkeypatch.setattr(writing, "write_durably", write_durably)
    write(new, tmp_path, evidence=b"new", force=True)
    assert read_file(path, read(path), EvidenceKind.OWN) == b"new" and len(files(tmp_path)) == 1


def test_only_a_rows_own_old_files_are_removed(tmp_path: Path, record: Make) -> None:
    """Rows whose names begin alike keep theirs."""
    names = ["pgd", "pgd.evidence.0123456789ab", "pgd-at"]
    for name in names:
        content = name.encode()
        write(record([True, False], model=name, evidence=link(content)), tmp_path, evidence=content)
    assert len(files(tmp_path)) == 3
    write(record([False, False], model="pgd", evidence=link(b"new")), tmp_path, evidence=b"new", force=True)
    kept = files(tmp_path)
    assert len(kept) == 3 and f"pgd.evidence.{digest.of_content(b'new')[:12]}.npz" in kept
    assert f"pgd.evidence.{digest.of_content(b'pgd')[:12]}.npz" not in kept


def test_changed_missing_and_linked_files_are_refused(tmp_path: Path, record: Make) -> None:
    """What is read is what the row was written with, in a real file."""
    row = record([True, False], evidence=link(b"breaks"))
    path = write(row, tmp_path, evidence=b"breaks").path
    file = path_of(path, EvidenceKind.OWN, link(b"breaks"))
    file.write_bytes(b"Breaks")
    with pytest.raises(OtherFileError, match="changed after its row was written"):
        read_file(path, row, EvidenceKind.OWN)
    file.unlink()
    with pytest.raises(OtherFileError, match="is missing"):
        read_file(path, row, EvidenceKind.OWN)
    (tmp_path / "elsewhere").write_bytes(b"breaks")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BenchError, match="symbolic link"):
        read_file(path, row, EvidenceKind.OWN)
    with pytest.raises(BenchError, match="symbolic link"):
        write(record([False, False], evidence=link(b"breaks")), tmp_path, evidence=b"breaks", force=True)


def test_a_row_that_is_reproduced_gets_the_evidence_that_it_lacks(tmp_path: Path, record: Make) -> None:
    """An old row has none, another's was damaged: the same result replaces it without force, once."""
    old = record([True, False])
    path = write(old, tmp_path).path
    new = record([True, False], evidence=link(b"breaks"))
    found = write(new, tmp_path, evidence=b"breaks")
    assert found.reproduces and found.written and read(path) == new
    assert not write(new, tmp_path, evidence=b"breaks").written
    path_of(path, EvidenceKind.OWN, link(b"breaks")).write_bytes(b"damaged")
    assert write(new, tmp_path, evidence=b"breaks").written
    assert read_file(path, read(path), EvidenceKind.OWN) == b"breaks"
    shorter = record([True], evidence=link(b"fewer"))
    assert not write(shorter, tmp_path, evidence=b"fewer").written and read(path) == new


def test_what_others_broke_stays_with_the_same_weights(tmp_path: Path, record: Make) -> None:
    """A new run of the same checkpoint keeps it, a new checkpoint does not; its file goes with it."""
    path = write(record([True, True, False]), tmp_path).path
    amended = record([True, True, False], external_breaks=(broken_by_others(1),), external_evidence=link(b"external"))
    amend(path, amended, b"external")
    assert read(path).n_robust == 1 and len(files(tmp_path)) == 1
    again = record([True, True, True])
    again = dataclasses.replace(again, digests=dataclasses.replace(again.digests, factory="g" * 64))
    assert write(again, tmp_path, force=True).written
    assert read(path).external_breaks == amended.external_breaks and read(path).n_robust == 2
    assert read_file(path, read(path), EvidenceKind.EXTERNAL) == b"external"
    other = record([True, True, True], digests=dataclasses.replace(again.digests, model="n" * 64))
    write(other, tmp_path, force=True)
    assert read(path).external_breaks == () and files(tmp_path) == []


def test_names_in_a_row_cannot_lead_elsewhere() -> None:
    """A digest is hexadecimal, whoever wrote the row."""
    for text in ("../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            EvidenceFile(sha256=text, n_breaks=0)
    with pytest.raises(ValueError, match="at least 0"):
        EvidenceFile(sha256="0" * 64, n_breaks=-1)
