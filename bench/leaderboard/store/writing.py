"""When a row is written, and when it may replace, extend or complete the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.core.errors import BenchError, OtherFileError
from bench.leaderboard.compare import Comparison, agree, compare
from bench.leaderboard.store import evidence as files
from bench.leaderboard.store.lock import board_of, locked
from bench.leaderboard.store.rows import Identity, find, without_links
from bench.leaderboard.store.suite_file import check_suite, definition_of, publish_suite
from bench.row import Record, dump_row, fingerprint_distance, parse_indices, result_bytes, same_function
from bench.storage import Guard, Place, write_durably

__all__ = ["Written", "amend", "write"]


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


def write(
    record: Record,
    root: Place,
    *,
    force: bool = False,
    suite: dict[str, Any] | None = None,
    evidence: bytes | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> Written:
    """Store a row and its evidence, unless a row is there that it may not replace.

    A row on more examples, which agrees with the one that is there on all of its examples, extends it. Else an existing
    row is replaced only by force, and never by one on fewer examples; one that the new row reproduces is replaced where
    it lacks a part. What others broke and what is proved stays with a row as long as weights, function and data are the
    same. The suite's definition is stored beside its first row; a row of another definition under the same name is
    refused.

    Args:
        record: the new row.
        root: the leaderboard's folder.
        force: replace a row that differs.
        suite: the suite's whole definition, for one whose attacks depend on the model; else the row is all of it.
        evidence: the file that the row points to, if it does.
        notify: called before waiting for another writer, with a line that says for whom.

    Raises:
        BenchError: if names are unsafe, the suite is not the published one, force would replace a row on more
            examples, or the folder cannot be written.
        WorkFailedError: if another writer holds the board for too long, or the disk is full.
        ValueError: if the row does not point to the evidence.
    """
    path = without_links(root, Identity.of(record).path(root))
    with locked(root, notify) as check:
        return _write(record, root, path, check, force=force, suite=suite, evidence=evidence)


def _write(
    record: Record,
    root: Place,
    path: Place,
    check: Guard,
    *,
    force: bool,
    suite: dict[str, Any] | None,
    evidence: bytes | None,
) -> Written:
    definition = suite or definition_of(record)
    check_suite(record, root, definition, whole=suite is not None)
    contents = {} if evidence is None else {files.EvidenceKind.OWN: evidence}
    old = find(root, Identity.of(record))
    if old is None:
        _store(record, root, path, check, definition, contents)
        return Written(path=path, written=True, existed=False, reproduces=False)
    record, external = _with_external(path, record, old)
    record = _with_certificate(record, old)
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


def amend(
    path: Place, record: Record, external: bytes | None = None, *, notify: Callable[[str], None] = lambda line: None
) -> None:
    """Store a row again, with what others broke or what is proved; who read it to make `record` holds the board since.

    Args:
        path: where the row lies.
        record: the row, pointing to `external`.
        external: the file of all external breaks, where there are others than before.
        notify: called before waiting for another writer, with a line that says for whom.

    Raises:
        BenchError: if the row is a symbolic link or cannot be written.
        WorkFailedError: if another writer holds the board for too long, or the disk is full.
        ValueError: if the row does not point to the file.
    """
    if path.is_symlink():
        raise BenchError(f"Cannot use {path}: it is a symbolic link. Name the real file.")
    with locked(board_of(path), notify) as check:
        _store_row(record, path, check, {} if external is None else {files.EvidenceKind.EXTERNAL: external})


def _store(
    record: Record,
    root: Place,
    path: Place,
    check: Guard,
    definition: dict[str, Any],
    contents: Mapping[files.EvidenceKind, bytes],
) -> None:
    publish_suite(record, root, definition)
    _store_row(record, path, check, contents)


def _store_row(record: Record, path: Place, check: Guard, contents: Mapping[files.EvidenceKind, bytes]) -> None:
    """Files first, the row that points to them next, what it no longer points to last."""
    files.write(path, record, contents)
    check()
    write_durably(path, dump_row(record).encode())
    files.remove_stale(path, record)


def _with_external(path: Place, record: Record, old: Record) -> tuple[Record, dict[files.EvidenceKind, bytes]]:
    """The new row with what others broke of its examples in the old one, where weights, function and data are the same.

    The architecture's source does not count: where a row has no fingerprint, verifying it will tell.

    Returns:
        The row, and the file of the breaks where it is another one than the old row's.
    """
    if record.external_breaks or not _same_model_and_data(record, old):
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
    return replace(kept, external_evidence=part[0]), {files.EvidenceKind.EXTERNAL: part[1]}


def _with_certificate(record: Record, old: Record) -> Record:
    """The new row with what is proved of its examples in the old one, where weights, function and data are the same."""
    certificate = old.certificate
    if certificate is None or not _same_model_and_data(record, old):
        return record
    indices = set(parse_indices(record.result.indices))
    tried = [index for index in parse_indices(certificate.indices) if index in indices]
    return replace(record, certificate=certificate.of(tried, certificate.proved_indices()) if tried else None)


def _same_model_and_data(record: Record, old: Record) -> bool:
    same = ("model", "dataset")
    return (
        all(getattr(old.digests, name) == getattr(record.digests, name) for name in same)
        and same_function(old.fingerprint, record.fingerprint) is not False
    )


def _lacks_evidence(path: Place, record: Record) -> bool:
    """Whether a row has no evidence, or the file is not the one that it was written with."""
    try:
        return files.read_file(path, record, files.EvidenceKind.OWN) is None
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
        apart = fingerprint_distance(old.fingerprint, new.fingerprint)
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
    """The checks and the reported numbers that one of the rows does not have, so that they cannot differ.

    Where the checks that were made are not the same, another doctor made them: none of their answers is compared.
    """
    there, here = ({check.id for check in row.result.diagnostics} for row in (old, new))
    others = there | here if there != here else set()
    return {*old.unfinished, *new.unfinished, *others}


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
