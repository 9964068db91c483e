"""The row of the leaderboard as it is stored: its fields, its JSON, and how old ones are read.

Version 2 added, all of it optional: the evidence beside a row, a checksum over the row, numbers that are reported and
never count, the audit behind a cascade's interval, what a search in low precision claimed, and the model's card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core import digest
from bench.core.errors import BenchError, ContradictionError, RowContradictionError
from bench.core.ranges import parse_indices
from bench.core.result import AttackResult, Audit, Diagnostic, Reported, Result, StageResult, expect_count
from bench.core.schema import OPTIONAL, from_json, to_json

__all__ = [
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "AttackCost",
    "AttackResult",
    "Audit",
    "Card",
    "Cost",
    "Diagnostic",
    "Digests",
    "EvidenceFile",
    "ExternalBreak",
    "Provenance",
    "Record",
    "Reported",
    "Result",
    "StageResult",
    "dumps",
    "loads",
    "result_bytes",
    "row_digest",
]

SCHEMA_VERSION = 2
_CHECKSUM = "checksum"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _to_version_2(value: dict[str, Any]) -> dict[str, Any]:
    """Every field that version 2 added is optional."""
    return {**value, "schema_version": 2}


# version k -> a function from the JSON of version k to that of version k + 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _to_version_2}


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What exactly was evaluated: SHA-256 of the suite, the data, the weights and the architecture's source."""

    suite: str
    dataset: str
    model: str
    factory: str


@dataclass(frozen=True, kw_only=True)
class ExternalBreak:
    """Adversarial examples that somebody else found for this very model, verified here.

    The examples themselves lie in the row's external evidence. They lower the headline, and are no part of the suite's
    verdicts.

    Args:
        source: what they were found with, or where they are published; for a transfer, the model they come from.
        by: who found them.
        date: when they were added, as YYYY-MM-DD.
        n: how many.
        indices: of the examples in the official split, ascending.
        row: for a transfer, `row_digest` of the row whose evidence they were.

    Raises:
        ContradictionError: if `n` does not count the indices, or they are not ascending.
    """

    source: str
    by: str
    date: str
    n: int
    indices: tuple[int, ...]
    row: str | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        expect_count("external_breaks.n", self.n, len(self.indices), "external_breaks.indices")
        if any(left >= right for left, right in zip(self.indices, self.indices[1:], strict=False)):
            raise ContradictionError("Expected `external_breaks.indices` to be ascending, each once.")


@dataclass(frozen=True, kw_only=True)
class EvidenceFile:
    """A file of adversarial examples beside the row; its name follows from the row's.

    Args:
        sha256: of its bytes, in hexadecimal.
        n_breaks: adversarial examples in it.

    Raises:
        ValueError: if either is none.
    """

    sha256: str
    n_breaks: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"Expected `sha256` to be 64 hexadecimal digits, but got {self.sha256!r:.80}.")
        if self.n_breaks < 0:
            raise ValueError(f"Expected `n_breaks` to be at least 0, but got {self.n_breaks}.")


@dataclass(frozen=True, kw_only=True)
class AttackCost:
    """What one attack took.

    Args:
        name: the attack's name.
        seconds: time.
        forwards: examples passed forwards through the model.
        backwards: gradients taken.
        n_claimed: breaks that a search in lower precision claimed; None where there was none.
        n_rejected: of those, how many the original float32 model refused; their share is the reject rate.
    """

    name: str
    seconds: float
    forwards: int
    backwards: int
    n_claimed: int | None = field(default=None, metadata=OPTIONAL)
    n_rejected: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How the numbers were computed.

    Args:
        engine: what ran the attacks that have a choice.
        precision: of the search: "float32", or "bf16+float32" where a ladder began lower.
        device: the machine's name.
        batch_size: the smallest that was used (it halves when memory runs out).
        attacks: one for each column.
        budget_seconds: the time that the number of examples was chosen for; None where the user chose them.
    """

    engine: str
    precision: str
    device: str
    batch_size: int
    attacks: tuple[AttackCost, ...]
    budget_seconds: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the row comes from."""

    commit: str | None
    versions: dict[str, str]
    date: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the model is, for readers of the board; no part of the result.

    Args:
        title: its name as people write it.
        reference: its paper or page.
        architecture: the network.
        n_parameters: how many numbers were trained.
        extra_data: "no", or which data beside the dataset's training split; None where nobody said.
    """

    title: str
    reference: str
    architecture: str
    n_parameters: int
    extra_data: str | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of the leaderboard.

    Args:
        schema_version: of its JSON.
        model: the model's name.
        dataset: what it was evaluated on.
        threat_model: what the attacker may do.
        suite: name and version.
        digests: what exactly was evaluated.
        result: what was found; equal between two runs of the same thing.
        external_breaks: what others found; it lowers `n_robust` below `result.n_robust`.
        evidence: the file with one break per broken example; None in rows that were written without.
        external_evidence: the file with the external breaks.
        cost: how it was computed.
        provenance: where it comes from.
        card: what the model is; None in rows from before cards.

    Raises:
        ContradictionError: if an external break is of no example of the row.
    """

    schema_version: int = SCHEMA_VERSION
    model: str
    dataset: str
    threat_model: str
    suite: str
    digests: Digests
    result: Result
    external_breaks: tuple[ExternalBreak, ...] = ()
    evidence: EvidenceFile | None = field(default=None, metadata=OPTIONAL)
    external_evidence: EvidenceFile | None = field(default=None, metadata=OPTIONAL)
    cost: Cost
    provenance: Provenance
    card: Card | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        strangers = self._externally_broken() - set(parse_indices(self.result.indices))
        if strangers:
            raise ContradictionError(f"Expected `external_breaks` of the row's examples, but got {min(strangers)}.")

    def verdicts(self) -> tuple[bool, ...]:
        """Whether each example is correct, withstood every attack of the suite, and nobody else broke it."""
        broken = self._externally_broken()
        indices = parse_indices(self.result.indices)
        return tuple(
            robust and index not in broken for index, robust in zip(indices, self.result.verdicts(), strict=True)
        )

    @property
    def n_robust(self) -> int:
        """The headline: examples robust to the suite and to what others found; `result.n_robust` is the suite's own."""
        return sum(self.verdicts())

    @property
    def n_external(self) -> int:
        """Examples that withstood the suite and that others broke."""
        return self.result.n_robust - self.n_robust

    @property
    def upper_bound_only(self) -> bool:
        """Whether a diagnostic failed: the robust accuracy is no more than an upper bound, and takes no rank."""
        return any(diagnostic.failed for diagnostic in self.result.diagnostics)

    def _externally_broken(self) -> set[int]:
        return {index for found in self.external_breaks for index in found.indices}


def dumps(record: Record) -> str:
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


def loads(text: str | bytes, *, source: str = "record", migrations: Mapping[int, Any] = MIGRATIONS) -> Record:
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
        value = json.loads(text, parse_constant=_refuse_constant)
        changed = _changed(value)
    except (ValueError, RecursionError) as error:
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


def _refuse_constant(name: str) -> float:
    raise ValueError(f"Expected finite numbers, but got {name}.")
