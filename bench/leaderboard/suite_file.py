"""The definition of a suite beside its rows, `<root>/<suite>/suite.json`: a published suite never changes."""

from __future__ import annotations

import json
from typing import Any

from bench.core.durable import write_durably
from bench.core.errors import BenchError
from bench.core.place import Place
from bench.core.record import Record
from bench.leaderboard.real_path import checked

__all__ = ["check_suite", "definition_of", "publish_suite"]

_NAME = "suite.json"


def publish_suite(record: Record, root: Place, definition: dict[str, Any]) -> None:
    """Store the definition of a row's suite, unless one is there."""
    path = root / record.suite / _NAME
    if not path.exists():
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
    path = checked(root, root / record.suite / _NAME)
    if not path.exists():
        return
    try:
        published = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(f"Cannot read the published suite {path}: {error}.") from error
    known = json.loads(_dump(definition))
    same = published == known if whole or "rules" not in published else _is_part(known, published)
    if not same:
        raise BenchError(
            f"Suite {record.suite} is not the one published in {path}. A published suite never changes:"
            " give the new one the next version."
        )


def _is_part(known: dict[str, Any], published: dict[str, Any]) -> bool:
    """Whether what one row shows of a suite with rules is in its published definition."""
    rules = [attack for rule in published["rules"] for attack in rule["attacks"]]
    plain = published["attacks"]
    shown, count = known["attacks"], len(plain)
    same = known["suite"] == published["suite"] and known["digest"] == published["digest"]
    return same and shown[:count] == plain and all(attack in rules for attack in shown[count:])
