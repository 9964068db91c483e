"""The part of verifying a row that needs no model: the row itself, its suite, and its files."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from bench import leaderboard, suites
from bench.attacks import parameters
from bench.core import strict_json
from bench.core.errors import BenchError, OtherFileError, RowContradictionError
from bench.core.plain_text import counted
from bench.core.structure import Structure
from bench.leaderboard.store import EvidenceKind, broken_of, link_of, path_of, read_breaks
from bench.row import OWN_SUITE, CheckResult, Level, Record, dump_row, listed_indices, parse_indices, unpack_margins
from bench.row.arrays import Breaks
from bench.storage import Place
from bench.suites import AttackSuite

__all__ = ["check_file", "check_row", "check_suite", "read_row"]

_FIRST_WITH_CHECKSUM = 2


def read_row(path: Place) -> tuple[Record | None, CheckResult]:
    """Read a row; it must be exactly what bench writes.

    Raises:
        BenchError: if it cannot be read at all.
    """
    try:
        record = leaderboard.read(path)
    except RowContradictionError as error:
        return None, CheckResult(what="row", level=Level.FAIL, evidence=str(error))
    return record, check_row(path, record)


def check_row(path: Place, record: Record) -> CheckResult:
    """Checksum, form, place, and margins against verdicts; that counts fit verdicts was checked when it was read."""
    content = leaderboard.read_bytes(path)
    stored = strict_json.loads(content)
    problem = _misplaced(path, record) or _margins_against_verdicts(record)
    if stored["schema_version"] < _FIRST_WITH_CHECKSUM:
        says = f"it is of version {stored['schema_version']}, which had no checksum; its counts fit its verdicts"
        return _check("row", problem, says, otherwise=Level.WARN)
    if "checksum" not in stored:
        problem = problem or "its checksum is gone: it was changed after it was written"
    elif content != dump_row(replace(record, schema_version=stored["schema_version"])).encode():
        problem = problem or "it is not in the form that bench writes: it was changed after it was written"
    columns = len(record.result.attacks)
    return _check("row", problem, f"its checksum fits, and so do the counts and margins of {columns} attacks")


def check_suite(path: Place, record: Record, structures: Collection[Structure] | None) -> CheckResult:
    """The suite and its attacks' parameters are those that this bench knows and this board published.

    Args:
        path: of the row.
        record: the row.
        structures: what the model declares, which a suite may have attacks for; None where the model is not at hand.
    """
    if record.suite.startswith(OWN_SUITE):
        says = f"{record.suite} is a suite of somebody's own: only the row says what its attacks were"
        return CheckResult(what="suite", level=Level.WARN, evidence=says)
    try:
        suite = suites.get(record.suite)
        problem = _problem_of_suite(record, suite, structures)
        if not problem and _is_on_board(path):
            leaderboard.check_suite(record, path.parents[3], suite.published, whole=True)
    except BenchError as error:
        return CheckResult(what="suite", level=Level.FAIL, evidence=str(error))
    return _check("suite", problem, f"{record.suite} is the published one, with every parameter")


def check_file(
    path: Place, record: Record, kind: EvidenceKind, shape: tuple[int, ...]
) -> tuple[Breaks | None, CheckResult]:
    """Read the breaks of a row, and hold them against its verdicts.

    Args:
        path: of the row.
        record: the row.
        kind: whose breaks.
        shape: of one input, `(C, H, W)`.

    Returns:
        The breaks, or None where they are missing, unusable or not the row's.
    """
    link = link_of(record, kind)
    if link is None:
        return None, _without_file(kind, len(broken_of(record, kind)))
    try:
        breaks = read_breaks(path, record, kind, shape=shape)
    except OtherFileError as error:
        return None, CheckResult(what=kind.value, level=Level.FAIL, evidence=str(error))
    if breaks is None:
        raise AssertionError("a file that the row points to is read or refused")
    size, n_rounded = path_of(path, kind, link).stat().st_size, int(breaks.rounded.sum())
    says = f"{counted(len(breaks), 'break')} in {counted(size, 'byte')}, {n_rounded} of them in 8 bits; sha256 fits"
    return breaks, CheckResult(what=kind.value, level=Level.PASS, evidence=says)


def _problem_of_suite(record: Record, suite: AttackSuite, structures: Collection[Structure] | None) -> str:
    if suite.digest != record.digests.suite:
        return f"{record.suite} has digest {suite.digest[:12]}, but the row says {record.digests.suite[:12]}"
    called_for = suite.rules if structures is None else suite.rules_for(structures)
    known = {
        attack.name: json.loads(json.dumps(parameters(attack)))
        for attack in (*suite.attacks, *(attack for rule in called_for for attack in rule.attacks))
    }
    shown = {attack.name: attack.parameters for attack in record.result.attacks}
    wanted = set(known) if structures is not None else {attack.name for attack in suite.attacks}
    for name in sorted(wanted - set(shown)):
        return f"the row lacks the attack {name} of {record.suite}"
    for name in sorted(set(shown) - set(known)):
        return f"the row has the attack {name}, which {record.suite} does not call for"
    other = [name for name in shown if shown[name] != known[name]]
    return f"the parameters of {other[0]} are not those of {record.suite}" if other else ""


def _without_file(kind: EvidenceKind, n_wanted: int) -> CheckResult:
    if not n_wanted:
        return CheckResult(
            what=kind.value, level=Level.PASS, evidence="nothing was broken, so there is nothing to show"
        )
    if kind is EvidenceKind.EXTERNAL:
        says = f"{counted(n_wanted, 'break')} by others without a file, which cannot be judged again"
    else:
        says = (
            f"the row was written without evidence: {counted(n_wanted, 'break')} cannot be judged again; run it again"
        )
    return CheckResult(what=kind.value, level=Level.NOT_APPLICABLE, evidence=says)


def _misplaced(path: Place, record: Record) -> str:
    """A row on a board must lie where its identity says: another model, suite or epsilon would lie elsewhere."""
    if not _is_on_board(path):
        return ""
    try:
        expected = leaderboard.Identity.of(record).path(path.parents[3])
    except BenchError as error:
        return str(error)
    return "" if expected == path else f"it is not where it belongs: expected {expected.relative_to(path.parents[3])}"


def _is_on_board(path: Place) -> bool:
    return len(path.parents) > 3 and (path.parents[2] / "suite.json").is_file()


def _margins_against_verdicts(record: Record) -> str:
    """What withstood an attack has no margin below 0, and what did not has none above."""
    result = record.result
    for attack in result.attacks:
        columns = zip(
            parse_indices(result.indices),
            result.robust_verdicts(attack),
            unpack_margins(attack.best_margin, result.n_examples),
            strict=True,
        )
        wrong = {index for index, robust, margin in columns if (margin < 0 if robust else margin > 0)}
        if wrong:
            return f"the best margins of {attack.name} contradict its verdicts on examples {listed_indices(wrong)}"
    return ""


def _check(name: str, problem: str, says: str, *, otherwise: Level = Level.PASS) -> CheckResult:
    return CheckResult(what=name, level=Level.FAIL if problem else otherwise, evidence=problem or says)
