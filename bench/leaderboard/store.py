"""Rows on disk: `<root>/<suite>/<dataset>/<threat model>/<model>.json`, one file a row, its path from its identity.

What a row's adversarial examples are called and when they are written is in `evidence`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.core.errors import BenchError, OtherFileError
from bench.core.types import ThreatModel
from bench.leaderboard import evidence as files
from bench.leaderboard.agreement import agree
from bench.leaderboard.compare import Comparison, compare
from bench.leaderboard.lock import board_of, locked
from bench.leaderboard.real_path import checked
from bench.leaderboard.suite_file import check_suite, definition_of, publish_suite
from bench.row.fingerprint import distance, same_function
from bench.row.indices import parse_indices
from bench.row.record import Record
from bench.row.serialization import MOST_BYTES, dumps, loads, result_bytes
from bench.storage.atomic_write import write_durably
from bench.storage.listing import matching
from bench.storage.lock import Check
from bench.storage.place import Place
from bench.storage.regular_file import read_regular

__all__ = ["Identity", "Written", "amend", "find", "read", "read_all", "read_bytes", "row_paths", "write"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a row is the answer to; one row for each.

    Raises:
        BenchError: if a part could not be a file's name.
    """

    suite: str
    dataset: str
    threat_model: str
    model: str

    def __post_init__(self) -> None:
        for part in ("suite", "dataset", "model"):
            name = getattr(self, part)
            if not _SAFE_NAME.fullmatch(name) or ".." in name:
                raise BenchError(
                    f"Cannot store a row for {part} {name!r}: expected letters, digits and '._+=-', starting"
                    " with a letter or digit, without '..'."
                )

    @classmethod
    def of(cls, record: Record) -> Identity:
        """The identity of a row."""
        return cls(suite=record.suite, dataset=record.dataset, threat_model=record.threat_model, model=record.model)

    def path(self, root: Place) -> Place:
        """Where the row lies under `root`."""
        folder = ThreatModel.parse(self.threat_model).folder
        return root / self.suite / self.dataset / folder / f"{self.model}.json"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write` did.

    Args:
        path: where the row lies.
        written: the new row is there now.
        existed: a row was there before.
        reproduces: that row has the same result, or agrees on all examples that both have, and one has all examples of
            the other. If it was written all the same, then because it has more examples, or because the old one lacked
            a part: its evidence, diagnostics, or what failed.
        n_before: how many examples the row had that was there; None where none was.
        differences: what differs from that row, a line each.
    """

    path: Place
    written: bool
    existed: bool
    reproduces: bool
    n_before: int | None = None
    differences: tuple[str, ...] = ()


def find(root: Place, identity: Identity) -> Record | None:
    """Return the row with this identity, or None.

    Raises:
        BenchError: if what is there is no row or cannot be read, or lies behind a symbolic link.
    """
    path = checked(root, identity.path(root))
    try:
        content = read_regular(path, most_bytes=MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"Cannot read row {path}: {error.strerror or error}.") from error
    return loads(content, source=str(path))


def row_paths(root: Place) -> list[Place]:
    """Where rows lie under `root`, sorted; none where there is no such folder.

    Raises:
        BenchError: if it is no folder, or one in it cannot be read.
    """
    return matching(root, "*/*/*/*.json")


def read(path: Place) -> Record:
    """Read one row.

    Raises:
        BenchError: if the file is missing, damaged, or of a later version.
    """
    return loads(read_bytes(path), source=str(path))


def read_bytes(path: Place) -> bytes:
    """The text of one row.

    Raises:
        BenchError: if the file is missing, too large or none.
    """
    try:
        return read_regular(path, most_bytes=MOST_BYTES)
    except OSError as error:
        raise BenchError(f"Cannot read row {path}: {error.strerror or error}.") from error


def read_all(root: Place) -> Iterator[tuple[Place, Record]]:
    """Read all rows under `root`, sorted by path.

    Raises:
        BenchError: if one is damaged, or does not lie where its identity says, or a folder cannot be read.
    """
    for path in row_paths(root):
        record = read(checked(root, path))
        if Identity.of(record).path(root) != path:
            expected = Identity.of(record).path(root).relative_to(root)
            raise BenchError(f"Row {path} is not where it belongs: expected {expected} in {root}.")
        yield path, record


def write(
    record: Record,
    root: Place,
    *,
    force: bool = False,
    suite: dict[str, Any] | None = None,
    evidence: bytes | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Written:
    """Store a row and its evidence, unless a row is there that it may not replace.

    A row on more examples, which agrees with the one that is there on all of its examples, extends it. Else an existing
    row is replaced only by force, and never by one on fewer examples; one that the new row reproduces is replaced where
    it lacks a part. What others broke stays with a row as long as weights, function and data are the same. The suite's
    definition is stored beside its first row; a row of another definition under the same name is refused.

    Args:
        record: the new row.
        root: the leaderboard's folder.
        force: replace a row that differs.
        suite: the suite's whole definition, for one whose attacks depend on the model; else the row is all of it.
        evidence: the file that the row points to, if it does.
        tell: called before waiting for another writer, with a line that says for whom.

    Raises:
        BenchError: if names are unsafe, the suite is not the published one, force would replace a row on more
            examples, or the folder cannot be written.
        WorkFailedError: if another writer holds the board for too long, or the disk is full.
        ValueError: if the row does not point to the evidence.
    """
    path = checked(root, Identity.of(record).path(root))
    with locked(root, tell) as check:
        return _write(record, root, path, check, force=force, suite=suite, evidence=evidence)


def _write(
    record: Record,
    root: Place,
    path: Place,
    check: Check,
    *,
    force: bool,
    suite: dict[str, Any] | None,
    evidence: bytes | None,
) -> Written:
    definition = suite or definition_of(record)
    check_suite(record, root, definition, whole=suite is not None)
    contents = {} if evidence is None else {files.Kind.OWN: evidence}
    old = find(root, Identity.of(record))
    if old is None:
        _store(record, root, path, check, definition, contents)
        return Written(path=path, written=True, existed=False, reproduces=False)
    record, external = _with_external(path, record, old)
    contents |= external
    differences = _differences(old, record)
    there, here = old.result.n_examples, record.result.n_examples
    extends = not differences and here > there
    completes = (
        not differences
        and evidence is not None
        and old.result.indices == record.result.indices
        and (_completes(old, record) or (_lacks_evidence(path, old) and not _lacks_more(old, record)))
    )
    replaces = bool(differences) and force
    if replaces and here < there:
        raise BenchError(
            f"Row {path} has {there} examples; one with {here} never replaces it. Run at least {there}, or another"
            " leaderboard folder."
        )
    if extends or completes or replaces:
        _store(record, root, path, check, definition, contents)
    return Written(
        path=path,
        written=extends or completes or replaces,
        existed=True,
        reproduces=not differences,
        n_before=there,
        differences=differences,
    )


def amend(path: Place, record: Record, external: bytes, *, tell: Callable[[str], None] = lambda line: None) -> None:
    """Store a row again, with what others broke; who read the row to make `record` of it holds the board since then.

    Args:
        path: where the row lies.
        record: the row, pointing to `external`.
        external: the file of all external breaks.
        tell: called before waiting for another writer, with a line that says for whom.

    Raises:
        BenchError: if the row is a symbolic link or cannot be written.
        WorkFailedError: if another writer holds the board for too long, or the disk is full.
        ValueError: if the row does not point to the file.
    """
    if path.is_symlink():
        raise BenchError(f"Cannot use {path}: it is a symbolic link. Name the real file.")
    with locked(board_of(path), tell) as check:
        _store_row(record, path, check, {files.Kind.EXTERNAL: external})


def _store(
    record: Record,
    root: Place,
    path: Place,
    check: Check,
    definition: dict[str, Any],
    contents: Mapping[files.Kind, bytes],
) -> None:
    publish_suite(record, root, definition)
    _store_row(record, path, check, contents)


def _store_row(record: Record, path: Place, check: Check, contents: Mapping[files.Kind, bytes]) -> None:
    """Files first, the row that points to them next, what it no longer points to last."""
    files.write(path, record, contents)
    check()
    write_durably(path, dumps(record).encode())
    files.remove_stale(path, record)


def _with_external(path: Place, record: Record, old: Record) -> tuple[Record, dict[files.Kind, bytes]]:
    """The new row with what others broke of its examples in the old one, where weights, function and data are the same.

    The architecture's source does not count: where a row has no fingerprint, verifying it will tell.

    Returns:
        The row, and the file of the breaks where it is another one than the old row's.
    """
    same = ("model", "dataset")
    if record.external_breaks or any(getattr(old.digests, name) != getattr(record.digests, name) for name in same):
        return record, {}
    if same_function(old.fingerprint, record.fingerprint) is False:
        return record, {}
    indices = set(parse_indices(record.result.indices))
    if all(indices.issuperset(found.indices) for found in old.external_breaks):
        kept = replace(record, external_breaks=old.external_breaks, external_evidence=old.external_evidence)
        return kept, {}
    parts = [(found, tuple(index for index in found.indices if index in indices)) for found in old.external_breaks]
    kept = replace(
        record, external_breaks=tuple(replace(found, n=len(part), indices=part) for found, part in parts if part)
    )
    part = files.external_of(path, old, indices) if kept.external_breaks else None
    if part is None:
        return kept, {}
    return replace(kept, external_evidence=part[0]), {files.Kind.EXTERNAL: part[1]}


def _lacks_evidence(path: Place, record: Record) -> bool:
    """Whether a row has no evidence, or the file is not the one that it was written with."""
    try:
        return files.read(path, record, files.Kind.OWN) is None
    except OtherFileError:
        return True


def _differences(old: Record, new: Record) -> tuple[str, ...]:
    """What the new row says otherwise.

    On the same examples every margin counts. Else examples met other ones in their batches, which rounds otherwise:
    what counts are the verdicts, and margins that rounding does not explain.
    """
    found = [
        f"{name}: {before:.12} there, {after:.12} here"
        for name, before, after in (
            ("model", old.digests.model, new.digests.model),
            ("factory", old.digests.factory, new.digests.factory),
        )
        if before != after
    ]
    if same_function(old.fingerprint, new.fingerprint) is False:
        apart = distance(old.fingerprint, new.fingerprint)
        found.append(f"fingerprint: logits on fixed inputs differ by {apart:.2g} of the largest")
    comparison = compare(old, new)
    found += [f"not comparable: {obstacle}" for obstacle in comparison.obstacles]
    if old.result.indices == new.result.indices:
        found += _flips(comparison) + _margins(comparison)
        unknown = _of_one_alone(old, new)
        if not found and _without(old, unknown) != _without(new, unknown):
            found.append("other fields of the result: parameters, stages, diagnostics or counts")
        return tuple(found)
    found += _flips(comparison)
    if not found and not (agreement := agree(old, new)).fine:
        found.append(agreement.explanation)
    there, here = (set(parse_indices(row.result.indices)) for row in (old, new))
    if not (there <= here or here <= there):
        found.append(f"examples: {old.result.indices:.40} there, {new.result.indices:.40} here")
    if not found and there < here and _lacks_more(old, new):
        found.append(f"not run here: {', '.join(new.unfinished)}")
    return tuple(found)


def _completes(old: Record, new: Record) -> bool:
    """Whether the new row has what the old one was written without, and lacks nothing that it has."""
    undiagnosed = bool(new.result.diagnostics) and not old.result.diagnostics
    unknown = new.fingerprint is not None and old.fingerprint is None
    return not _lacks_more(old, new) and (undiagnosed or unknown or len(new.unfinished) < len(old.unfinished))


def _lacks_more(old: Record, new: Record) -> bool:
    """Whether something failed for the new row that the old one has."""
    return bool(old.result.diagnostics) and not set(new.unfinished) <= set(old.unfinished)


def _of_one_alone(old: Record, new: Record) -> set[str]:
    """The checks and the reported numbers that one of the rows does not have, so that they cannot differ."""
    undiagnosed = () if old.result.diagnostics else (check.id for check in new.result.diagnostics)
    return {*old.unfinished, *new.unfinished, *undiagnosed}


def _without(record: Record, names: set[str]) -> bytes:
    """The result without these checks and reported numbers."""
    checks = tuple(check for check in record.result.diagnostics if check.id not in names)
    reported = tuple(each for each in record.result.reported if each.name not in names)
    return result_bytes(replace(record, result=replace(record.result, diagnostics=checks, reported=reported)))


def _flips(comparison: Comparison) -> list[str]:
    return [
        f"{column.name}: {column.n_robust[0]} there, {column.n_robust[1]} here of {column.n_examples}"
        f" ({len(column.lost)} lost, {len(column.gained)} gained, p = {column.p:.2g})"
        for column in comparison.columns
        if column.gained or column.lost
    ]


def _margins(comparison: Comparison) -> list[str]:
    return [
        f"{column.name}: same verdicts, best margins differ by up to {column.largest_margin_change:.2g}"
        for column in comparison.columns
        if not column.gained and not column.lost and not column.same
    ]
