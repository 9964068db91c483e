"""The definition of a suite beside its rows, `<root>/<suite>/suite.json`: a published suite never changes."""

from __future__ import annotations

import json
from typing import Any

from bench.core import strict_json
from bench.core.errors import BenchError
from bench.leaderboard.store.rows import without_links
from bench.row import Record
from bench.storage import Place, exists, read_regular, write_durably

__all__ = ["SUITE_FILE", "check_suite", "definition_of", "publish_suite", "read_suite", "suite_path"]

SUITE_FILE = "suite.json"

_MOST_BYTES = 1 << 20


def suite_path(root: Place, label: str) -> Place:
    """Where the definition of a suite lies."""
    return root / label / SUITE_FILE


def publish_suite(record: Record, root: Place, definition: dict[str, Any]) -> None:
    """Store the definition of a row's suite, unless one is there."""
    path = suite_path(root, record.suite)
    if not exists(path):
        write_durably(path, _dump(definition))


def definition_of(record: Record) -> dict[str, Any]:
    """The suite as its rows record it: every parameter of every attack."""
    attacks = [{"name": attack.name, "parameters": attack.parameters} for attack in record.result.attacks]
    return {"suite": record.suite, "digest": record.digests.suite, "attacks": attacks}


def _dump(definition: dict[str, Any]) -> bytes:
    return (json.dumps(definition, indent=1, allow_nan=False) + "\n").encode()


def check_suite(record: Record, root: Place, definition: dict[str, Any], *, whole: bool) -> None:
    """Refuse a row whose suite is not the one that is published under its name.

    Args:
        record: the row.
        root: the leaderboard's folder.
        definition: of the suite, as `suite.json` has it.
        whole: it is all of the suite, not only what one row shows of it.

    Raises:
        BenchError: if it is another one, or the published one cannot be read.
    """
    path = without_links(root, suite_path(root, record.suite))
    if not exists(path):
        return
    published = read_suite(path)
    known = json.loads(_dump(definition))
    same = published == known if whole or "rules" not in published else _is_part(known, published)
    if not same:
        raise BenchError(
            f"Suite {record.suite} is not the one published in {path}. A published suite never changes:"
            " give the new one the next version."
        )


def read_suite(path: Place) -> dict[str, Any]:
    """The definition in `path`: name, digest, attacks with their parameters, and rules if it has some.

    Raises:
        BenchError: if it is missing, or no such definition.
    """
    try:
        published = strict_json.loads(read_regular(path, most_bytes=_MOST_BYTES))
        if not isinstance(published, dict):
            raise ValueError("it is no object")
        rules = published.get("rules", [])
        attacks = [*published["attacks"], *(attack for rule in rules for attack in rule["attacks"])]
        texts = [published["suite"], published["digest"], *(attack["name"] for attack in attacks)]
        fine = all(isinstance(text, str) for text in texts)
        if not fine or not all(isinstance(attack["parameters"], dict) for attack in attacks):
            raise ValueError("its texts and parameters are of other types")
    except OSError as error:
        raise BenchError(f"Cannot read the published suite {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"Cannot read the published suite {path}: {error!s:.100}.") from error
    return published


def _is_part(known: dict[str, Any], published: dict[str, Any]) -> bool:
    """Whether what one row shows of a suite with rules is in its published definition."""
    rules = [attack for rule in published["rules"] for attack in rule["attacks"]]
    plain = published["attacks"]
    shown, count = known["attacks"], len(plain)
    same = known["suite"] == published["suite"] and known["digest"] == published["digest"]
    return same and shown[:count] == plain and all(attack in rules for attack in shown[count:])
