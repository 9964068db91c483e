"""What a check found: as a table, as JSON, as JUnit XML, and as annotations of GitHub's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from bench.cli.layout import table, wrapped
from bench.cli.output import json_text
from bench.core.plain_text import counted
from bench.row import CheckResult, Level
from bench.storage import Place

__all__ = ["as_github", "as_json", "as_junit", "as_table", "exit_code"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]+")
_WORD = {Level.PASS: "fine", Level.WARN: "note", Level.FAIL: "finding", Level.NOT_RUN: "mistake"}
_GITHUB = {Level.NOT_RUN: "error", Level.FAIL: "error", Level.WARN: "notice"}


def exit_code(results: Iterable[CheckResult]) -> int:
    """2 where something cannot be looked at, which is a mistake of the user's; 1 where something was found; else 0."""
    levels = {each.level for each in results}
    return 2 if Level.NOT_RUN in levels else int(Level.FAIL in levels)


def as_table(results: Sequence[CheckResult]) -> str:
    """How many of each check, then everything that is not fine."""
    counts: dict[str, Counter[Level]] = {}
    for each in results:
        counts.setdefault(each.what, Counter())[each.level] += 1
    headers = ("check", "fine", "notes", "findings", "mistakes")
    rows = [(check, *(found[level] for level in _WORD)) for check, found in counts.items()]
    told = [f"{_WORD[each.level]}: {each.subject}: {each.evidence}" for each in results if each.level is not Level.PASS]
    told += [f"{each.what}: {each.subject}: {each.evidence}" for each in results if _worth_telling(each)]
    verdict = ("Nothing was found.", "Something was found.", "Something is not as a board must be.")[exit_code(results)]
    parts = (table(headers, rows, right=headers[1:]), "\n".join(told), verdict)
    return wrapped("\n\n".join(part for part in parts if part))


def as_json(results: Sequence[CheckResult]) -> str:
    """One object: the exit code and every result."""
    value = {
        "exit_code": exit_code(results),
        "cases": [
            {"check": each.what, "subject": each.subject, "level": _WORD[each.level], "message": each.evidence}
            for each in results
        ],
    }
    return json_text(value)


def as_junit(results: Sequence[CheckResult]) -> str:
    """A test suite for each check: findings fail, mistakes are errors, notes pass with their text."""
    root = ElementTree.Element("testsuites", name="bench check")
    for check in dict.fromkeys(each.what for each in results):
        members = [each for each in results if each.what == check]
        count = Counter(each.level for each in members)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=check,
            tests=str(len(members)),
            failures=str(count[Level.FAIL]),
            errors=str(count[Level.NOT_RUN]),
        )
        for each in members:
            _junit(suite, each)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_github(results: Sequence[CheckResult], root: Place) -> str:
    """One workflow command a line; GitHub shows it at the file in a pull request.

    Args:
        results: what was found.
        root: the board's folder, from where the workflow runs.
    """
    lines = [
        f"::{_GITHUB[each.level]} file={_property(_file(root, each))},title={_property(f'bench check: {each.what}')}"
        f"::{_data(f'{each.subject}: {each.evidence}')}"
        for each in results
        if each.level is not Level.PASS
    ]
    return "\n".join([*lines, f"{counted(len(results), 'check')}, {counted(len(lines), 'remark')}"])


def _worth_telling(result: CheckResult) -> bool:
    """What a costly check says even where all is fine."""
    return result.level is Level.PASS and result.what in ("probe", "replay")


def _junit(suite: ElementTree.Element, result: CheckResult) -> None:
    element = ElementTree.SubElement(suite, "testcase", classname=f"bench.{result.what}", name=_plain(result.subject))
    if result.level in (Level.FAIL, Level.NOT_RUN):
        kind = "failure" if result.level is Level.FAIL else "error"
        ElementTree.SubElement(element, kind, message=_plain(result.evidence))
    elif result.evidence:
        ElementTree.SubElement(element, "system-out").text = _plain(result.evidence)


def _file(root: Place, result: CheckResult) -> str:
    if result.what == "checkpoint":
        return f"checkpoints/{result.subject}"
    return str(root / result.subject)


def _plain(text: str) -> str:
    """Text without what XML cannot hold."""
    return _CONTROL.sub(" ", text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
