"""Are the files of a board what they claim to be? Rows, suites, evidence, pages, checkpoints; no torch, no attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.core.errors import BenchError, FoundSomethingError, OtherFileError, RowContradictionError
from bench.core.plain_text import one_line, reasons_text
from bench.core.types import ThreatModel
from bench.leaderboard.pages import outdated
from bench.leaderboard.store import EvidenceKind, Identity, check_suite, link_of, read, read_breaks
from bench.row import CheckResult, Level, Manifest, Record, listed_indices
from bench.storage import Place, exists, matching, sha256_of

__all__ = ["Inspection", "inspect_board", "inspect_checkpoints"]

_ROW_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What looking at a board's files gave.

    Args:
        results: everything that was looked at.
        rows: those that can be read and lie where they belong, by path.
    """

    results: tuple[CheckResult, ...]
    rows: tuple[tuple[Place, Record], ...]


def inspect_board(root: Place) -> Inspection:
    """Check every file that a board in `root` has.

    Raises:
        BenchError: if there is no such folder, or no row in it.
    """
    files = _files(root)
    results = [_mistake("file", root, path, problem) for path in files if (problem := _not_a_file(path))]
    rows: dict[Place, Record] = {}
    for path in (path for path in files if _is_row(root, path) and not _not_a_file(path)):
        results += _row(root, path, rows)
    if not rows and not results:
        raise BenchError(f"No rows in {root}. `bench run` writes rows; --leaderboard names another folder.")
    unusable = [
        each
        for each in results
        if each.level is Level.NOT_RUN or (each.level is Level.FAIL and each.what in ("row", "evidence"))
    ]
    results += [] if unusable else _pages(root)
    return Inspection(results=tuple(results), rows=tuple(sorted(rows.items())))


def inspect_checkpoints(folder: Path) -> tuple[CheckResult, ...]:
    """Check the weights in `<folder>/<model>/<dataset>.safetensors` against the digests in their manifests."""
    return tuple(
        _tried("checkpoint", _name(folder, path), lambda path=path: _checkpoint(path))  # type: ignore[misc]
        for path in matching(folder, "*/*.json")
    )


def _tried(what: str, subject: str, look: Callable[[], str | None]) -> CheckResult:
    """Look at something, and say what goes wrong.

    Args:
        what: what is checked.
        subject: what is looked at.
        look: returns what is wrong, or nothing. A contradiction that it raises is a finding; with any other error that
            a user can fix there is no answer.
    """
    try:
        found = look()
    except (FoundSomethingError, RowContradictionError) as error:
        return CheckResult(what=what, subject=subject, level=Level.FAIL, evidence=one_line(str(error)))
    except BenchError as error:
        return CheckResult(what=what, subject=subject, level=Level.NOT_RUN, evidence=one_line(str(error)))
    return CheckResult(what=what, subject=subject, level=Level.FAIL if found else Level.PASS, evidence=found or "")


def _files(root: Place) -> list[Place]:
    """Every file and link under `root`; folders behind links are not entered."""
    if not exists(root):
        raise BenchError(f"No folder {root}. `bench run` writes rows; --leaderboard names another folder.")
    found = []
    waiting = [root]
    while waiting:
        for path in matching(waiting.pop(), "*"):
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            else:
                found.append(path)
    return sorted(found)


def _not_a_file(path: Place) -> str:
    """Why what lies there is no file of a board; empty where it is one."""
    if path.is_symlink():
        return "is a symbolic link; put a real file or folder there"
    return "" if path.is_file() else "is a pipe, a socket or a device; a board has files and folders alone"


def _is_row(root: Place, path: Place) -> bool:
    return path.suffix == ".json" and len(path.relative_to(root).parts) == _ROW_DEPTH


def _row(root: Place, path: Place, rows: dict[Place, Record]) -> Iterator[CheckResult]:
    """The cases of one row; it is added to `rows` if it can be used."""
    result = _tried("row", _name(root, path), lambda: _read(root, path, rows))
    yield result
    if path in rows:
        record = rows[path]
        yield _tried("suite", _name(root, path), lambda: _suite(record, root))
        yield from _files_of(root, path, record)
        if record.certificate is not None:
            yield _tried("certificate", _name(root, path), lambda: _contradiction(record))
        if record.unfinished:
            message = one_line(f"not run: {reasons_text(record.unfinished)}; the same `bench run` goes on from there")
            yield CheckResult(what="row", subject=_name(root, path), level=Level.WARN, evidence=message)


def _read(root: Place, path: Place, rows: dict[Place, Record]) -> str | None:
    record = read(path)
    identity = Identity.of(record)
    place = identity.path(root)
    if place != path:
        if place.exists():
            raise BenchError(
                f"Row {path} has the identity of {place}: two rows of one suite, data set, threat model and model."
                " Remove one, or give the model another name."
            )
        raise BenchError(f"Row {path} is not where it belongs: expected {place}.")
    rows[path] = record
    return "; ".join(_oddities(record)) or None


def _files_of(root: Place, path: Place, record: Record) -> Iterator[CheckResult]:
    """The cases of a row's files of breaks."""
    if record.evidence is None and record.result.broken():
        message = "no breaks are stored, so nobody can check it without attacking"
        yield CheckResult(what="evidence", subject=_name(root, path), level=Level.WARN, evidence=message)
    for kind in EvidenceKind:
        if link_of(record, kind) is not None:
            yield _tried("evidence", _name(root, path), lambda kind=kind: _evidence(path, record, kind))  # type: ignore[misc]


def _oddities(record: Record) -> Iterator[str]:
    """What a row that can be read should not say."""
    canonical = str(ThreatModel.parse(record.threat_model))
    if record.threat_model != canonical:
        yield f"the threat model is written {record.threat_model!r}; expected {canonical!r}"
    try:
        datetime.strptime(record.provenance.date, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        yield f"its date is {record.provenance.date[:40]!r}; expected one such as 2026-01-31T12:00:00Z"
    costs = [cost.name for cost in record.cost.attacks]
    attacks = [attack.name for attack in record.result.attacks]
    if costs != attacks:
        yield f"it has costs of {', '.join(costs) or 'nothing'}, but attacks {', '.join(attacks) or 'none'}"


def _suite(record: Record, root: Place) -> str | None:
    path = root / record.suite / "suite.json"
    if not path.exists():
        return f"{path} is missing; a row is published with its suite's parameters"
    shown = [{"name": attack.name, "parameters": attack.parameters} for attack in record.result.attacks]
    definition = {"suite": record.suite, "digest": record.digests.suite, "attacks": shown}
    try:
        check_suite(record, root, definition, whole=False)
    except BenchError as error:
        return str(error)
    return None


def _contradiction(record: Record) -> str | None:
    """What is proved to hold and was broken."""
    both = record.contradicted()
    if not both:
        return None
    return f"examples {listed_indices(both)} are both certified and broken; either the bound or the break is wrong"


def _evidence(path: Place, record: Record, kind: EvidenceKind) -> str | None:
    """What is wrong with a row's file: it must hold a break of just the examples that the row calls broken."""
    try:
        read_breaks(path, record, kind)
    except OtherFileError as error:
        return str(error)
    return None


def _pages(root: Place) -> list[CheckResult]:
    try:
        found = outdated(root)
    except BenchError as error:
        return [CheckResult(what="pages", subject=".", level=Level.NOT_RUN, evidence=one_line(str(error)))]
    if not found:
        return [CheckResult(what="pages", subject=".", level=Level.PASS)]
    return [
        CheckResult(what="pages", subject=line.split()[0], level=Level.FAIL, evidence=f"{line}; run `bench publish`")
        for line in found
    ]


def _checkpoint(manifest: Path) -> str | None:
    weights = manifest.with_suffix(".safetensors")
    for path in (manifest, weights):
        if path.is_symlink():
            raise BenchError(f"{path} is a symbolic link. Put the real file there.")
    expected = Manifest.read(manifest).sha256
    try:
        actual = sha256_of(weights)
    except OSError as error:
        raise BenchError(f"Cannot read {weights}: {error.strerror or error}.") from error
    if actual != expected:
        return f"the weights' SHA-256 is {actual[:12]}, but their manifest says {expected[:12]}"
    return None


def _mistake(what: str, root: Place, path: Place, message: str) -> CheckResult:
    return CheckResult(what=what, subject=_name(root, path), level=Level.NOT_RUN, evidence=f"{path} {message}.")


def _name(root: Place, path: Place) -> str:
    return path.relative_to(root).as_posix()
