"""The row of the leaderboard as it is stored: its fields, its JSON, and how old ones are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core.errors import BenchError
from bench.core.packing import unpack_margins, unpack_verdicts
from bench.core.ranges import parse_indices
from bench.core.schema import OPTIONAL, from_json, to_json

__all__ = [
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "AttackCost",
    "AttackResult",
    "Card",
    "Cost",
    "Diagnostic",
    "Digests",
    "ExternalBreak",
    "Provenance",
    "Record",
    "Result",
    "StageResult",
    "dumps",
    "loads",
    "result_bytes",
]

SCHEMA_VERSION = 1

# version k -> a function from the JSON of version k to that of version k + 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What exactly was evaluated: SHA-256 of the suite, the data, the weights and the architecture's source."""

    suite: str
    dataset: str
    model: str
    factory: str


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """One stage of an attack: how many examples were still robust after it."""

    name: str
    n_robust: int


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """One attack on all cleanly correct examples.

    Args:
        name: the attack's name.
        n_robust: examples that were correct and stayed correct.
        robust: packed verdicts, one per example.
        best_margin: packed float16: `z_y - max_{k != y} z_k` of the best candidate (of the clean input, where the
            model misclassified it and no attack ran; minus infinity where logits were not finite).
        parameters: the attack's fields.
        stages: for an attack in several stages, the count after each.
    """

    name: str
    n_robust: int
    robust: str
    best_margin: str
    parameters: dict[str, Any]
    stages: tuple[StageResult, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One check of whether the number is believable."""

    id: str
    status: str
    statistic: float | None
    threshold: float | None
    evidence: str
    next: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that must be equal between two runs of the same thing.

    Raises:
        ValueError: if the counts contradict the packed verdicts.
    """

    n_examples: int
    indices: str
    n_clean: int
    n_robust: int
    seed: int
    clean: str
    attacks: tuple[AttackResult, ...]
    n_nonfinite: int
    diagnostics: tuple[Diagnostic, ...]

    def __post_init__(self) -> None:
        count = len(parse_indices(self.indices))
        _expect_count("n_examples", self.n_examples, count, f"indices {self.indices}")
        clean = self.clean_verdicts()
        _expect_count("n_clean", self.n_clean, sum(clean), "clean")
        for attack in self.attacks:
            robust = self.robust_verdicts(attack)
            unpack_margins(attack.best_margin, self.n_examples)
            _expect_count(f"n_robust of {attack.name}", attack.n_robust, sum(robust), "robust")
            if any(after and not before for before, after in zip(clean, robust, strict=True)):
                raise ValueError(f"Expected examples robust to {attack.name} to be correct when clean.")
        _expect_count("n_robust", self.n_robust, sum(self.verdicts()), "the attacks' verdicts")

    def clean_verdicts(self) -> tuple[bool, ...]:
        """Whether each example is classified correctly without an attack."""
        return unpack_verdicts(self.clean, self.n_examples)

    def robust_verdicts(self, attack: AttackResult) -> tuple[bool, ...]:
        """Whether each example is correct and withstood `attack`."""
        return unpack_verdicts(attack.robust, self.n_examples)

    def verdicts(self) -> tuple[bool, ...]:
        """Whether each example is correct and withstood every attack."""
        columns = [self.clean_verdicts(), *(self.robust_verdicts(attack) for attack in self.attacks)]
        return tuple(all(verdicts) for verdicts in zip(*columns, strict=True))


@dataclass(frozen=True, kw_only=True)
class ExternalBreak:
    """Adversarial examples that somebody else found for this very model, verified here."""

    source: str
    by: str
    date: str
    n: int
    indices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AttackCost:
    """What one attack took: seconds, and examples passed forwards and backwards through the model."""

    name: str
    seconds: float
    forwards: int
    backwards: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How the numbers were computed; `batch_size` is the smallest that was used (it halves when memory runs out)."""

    engine: str
    precision: str
    device: str
    batch_size: int
    attacks: tuple[AttackCost, ...]


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
    """One row of the leaderboard; a row from before cards has none."""

    schema_version: int = SCHEMA_VERSION
    model: str
    dataset: str
    threat_model: str
    suite: str
    digests: Digests
    result: Result
    external_breaks: tuple[ExternalBreak, ...] = ()
    cost: Cost
    provenance: Provenance
    card: Card | None = field(default=None, metadata=OPTIONAL)


def dumps(record: Record) -> str:
    """The JSON text of a row, one field a line, ending in a newline."""
    return json.dumps(to_json(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def result_bytes(record: Record) -> bytes:
    """Canonical JSON of `result`: equal between two runs of the same thing."""
    return json.dumps(to_json(record.result), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def loads(text: str | bytes, *, source: str = "record", migrations: Mapping[int, Any] = MIGRATIONS) -> Record:
    """Read a row, bringing an old one up to date.

    Args:
        text: JSON.
        source: how messages call it: its path.
        migrations: from a version to the function that makes the next one of it.

    Raises:
        BenchError: if it is no row, damaged, or of a later version than this program knows.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        return from_json(Record, _up_to_date(value, source, migrations), "record")
    except ValueError as error:
        raise BenchError(f"Cannot read {source} as a row: {error}") from error


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


def _expect_count(name: str, count: int, actual: int, where: str) -> None:
    if count != actual:
        raise ValueError(f"Expected `{name}` to be {actual} as in {where}, but got {count}.")
