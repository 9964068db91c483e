"""The text of a leaderboard row: JSON with a checksum, and how old ones are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bench.core import digest, strict_json
from bench.core.errors import BenchError, ContradictionError, RowContradictionError
from bench.row.record import SCHEMA_VERSION, Record
from bench.row.schema import from_json, to_json

__all__ = ["MIGRATIONS", "MOST_ROW_BYTES", "dump_row", "load_row", "result_bytes", "row_digest"]

MOST_ROW_BYTES = 16 << 20
"""No row has more; one of 50,000 examples and twenty attacks has 3 million."""

_CHECKSUM = "checksum"


def _to_version_2(value: dict[str, Any]) -> dict[str, Any]:
    """Every field that version 2 added is optional."""
    return {**value, "schema_version": 2}


def _to_version_3(value: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint is optional."""
    return {**value, "schema_version": 3}


# version k -> a function from the JSON of version k to that of version k + 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _to_version_2, 2: _to_version_3}


def dump_row(record: Record) -> str:
    """The JSON text of a row, one field a line, ending in a newline; the last field is a checksum over all others."""
    value = to_json(record)
    return json.dumps({**value, _CHECKSUM: digest.of_json(value)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def result_bytes(record: Record) -> bytes:
    """Canonical JSON of `result`: equal between two runs of the same thing."""
    return json.dumps(to_json(record.result), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def row_digest(record: Record) -> str:
    """What the row claims, in one digest: identity, digests and result; neither cost nor what others found."""
    value = to_json(record)
    claims = ("model", "dataset", "threat_model", "suite", "digests", "result")
    return digest.of_json({key: value[key] for key in claims})


def load_row(text: str | bytes, *, source: str = "record", migrations: Mapping[int, Any] = MIGRATIONS) -> Record:
    """Read a row, bringing an old one up to date.

    Args:
        text: JSON.
        source: how messages call it: its path.
        migrations: from a version to the function that makes the next one of it.

    Raises:
        RowContradictionError: if it is a row whose parts contradict each other: counts and packed verdicts, or checksum
            and content.
        BenchError: if it is no row, damaged, or of a later version than this program knows.
    """
    try:
        if len(text) > MOST_ROW_BYTES:
            raise ValueError(f"Expected at most {MOST_ROW_BYTES:,} bytes, but got {len(text):,}.")
        value = strict_json.loads(text)
        changed = _changed(value)
    except ValueError as error:
        raise BenchError(f"Cannot read {source} as a row: {error}") from error
    try:
        record = from_json(Record, _up_to_date(value, source, migrations), "record")
    except ContradictionError as error:
        raise RowContradictionError(f"Row {source} contradicts itself: {error}") from error
    except ValueError as error:
        kind = RowContradictionError if changed else BenchError
        raise kind(f"Cannot read {source} as a row: {error}{changed}") from error
    if changed:
        raise RowContradictionError(f"Row {source} contradicts itself:{changed}")
    return record


def _changed(value: Any) -> str:
    """Take the checksum out of a row's JSON; say how it contradicts the rest, or nothing where it fits or is absent."""
    written = value.pop(_CHECKSUM, None) if isinstance(value, dict) else None
    if written is None:
        return ""
    actual = digest.of_json(value)
    if written == actual:
        return ""
    return f" It was changed after it was written: its checksum is {written!s:.12}, but its content gives {actual:.12}."


def _up_to_date(value: Any, source: str, migrations: Mapping[int, Any]) -> dict[str, Any]:
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(f"Expected `schema_version` to be a whole number from 1, but got {version!r}.")
    if version > SCHEMA_VERSION:
        raise BenchError(
            f"{source} has schema version {version}, but this bench knows versions up to {SCHEMA_VERSION}."
            " Update bench to read it."
        )
    for old in range(version, SCHEMA_VERSION):
        value = migrations[old](value)
    return dict(value)
