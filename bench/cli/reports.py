"""What a check found: as a table, as JSON, as JUnit XML, and as annotations of GitHub's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from bench.cli.output import json_text
from bench.cli.tables import table
from bench.leaderboard.case import Case, Level, exit_code
from bench.storage.place import Place

__all__ = ["as_github", "as_json", "as_junit", "as_table"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]+")
_GITHUB = {Level.MISTAKE: "error", Level.FINDING: "error", Level.NOTE: "notice"}


def as_table(cases: Sequence[Case]) -> str:
    """How many of each check, then everything that is not fine."""
    counts: dict[str, Counter[Level]] = {}
    for case in cases:
        counts.setdefault(case.check, Counter())[case.level] += 1
    headers = ("check", "fine", "notes", "findings", "mistakes")
    rows = [(check, *(found[level] for level in Level)) for check, found in counts.items()]
    told = [f"{case.level.value}: {case.subject}: {case.message}" for case in cases if case.level is not Level.FINE]
    told += [f"{case.check}: {case.subject}: {case.message}" for case in cases if _worth_telling(case)]
    verdict = ("Nothing was found.", "Something was found.", "Something is not as a board must be.")[exit_code(cases)]
    return "\n\n".join(part for part in (table(headers, rows, right=headers[1:]), "\n".join(told), verdict) if part)


def as_json(cases: Sequence[Case]) -> str:
    """One object: the exit code and every case."""
    value = {
        "exit_code": exit_code(cases),
        "cases": [
            {"check": case.check, "subject": case.subject, "level": case.level.value, "message": case.message}
            for case in cases
        ],
    }
    return json_text(value)


def as_junit(cases: Sequence[Case]) -> str:
    """A test suite for each check: findings fail, mistakes are errors, notes pass with their text."""
    root = ElementTree.Element("testsuites", name="bench check")
    for check in dict.fromkeys(case.check for case in cases):
        members = [case for case in cases if case.check == check]
        count = Counter(case.level for case in members)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=check,
            tests=str(len(members)),
            failures=str(count[Level.FINDING]),
            errors=str(count[Level.MISTAKE]),
        )
        for case in members:
            _junit(suite, case)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_github(cases: Sequence[Case], root: Place) -> str:
    """One workflow command a line; GitHub shows it at the file in a pull request.

    Args:
        cases: what was found.
        root: the board's folder, from where the workflow runs.
    """
    lines = [
        f"::{_GITHUB[case.level]} file={_property(_file(root, case))},title={_property(f'bench check: {case.check}')}"
        f"::{_data(f'{case.subject}: {case.message}')}"
        for case in cases
        if case.level is not Level.FINE
    ]
    return "\n".join([*lines, f"{len(cases)} checks, {len(lines)} remarks"])


def _worth_telling(case: Case) -> bool:
    """What a costly check says even where all is fine."""
    return case.level is Level.FINE and case.check in ("probe", "replay")


def _junit(suite: ElementTree.Element, case: Case) -> None:
    element = ElementTree.SubElement(suite, "testcase", classname=f"bench.{case.check}", name=_plain(case.subject))
    if case.level in (Level.FINDING, Level.MISTAKE):
        kind = "failure" if case.level is Level.FINDING else "error"
        ElementTree.SubElement(element, kind, message=_plain(case.message))
    elif case.message:
        ElementTree.SubElement(element, "system-out").text = _plain(case.message)


def _file(root: Place, case: Case) -> str:
    if case.check == "checkpoint":
        return f"checkpoints/{case.subject}"
    return str(root / case.subject)


def _plain(text: str) -> str:
    """Text without what XML cannot hold."""
    return _CONTROL.sub(" ", text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
