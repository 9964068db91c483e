"""The manifest of a checkpoint: where the weights come from, what they are worth, and how to rebuild the network.

A manifest is data that a stranger may have written, so nothing in it is believed before it was checked: every field has
its type, sizes are limited, and a value that does not fit is named in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core import strict_json
from bench.core.errors import BenchError
from bench.row.schema import OPTIONAL, from_json, to_json
from bench.storage import read_regular

__all__ = ["SCHEMA_VERSION", "Accuracy", "ArchitectureSpec", "Manifest"]

SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20
MAX_ARGUMENTS = 32
MAX_TEXT = 200
MAX_LIST = 16
MAX_NUMBER = 1_000_000

_SHA256 = re.compile(r"[0-9a-f]{64}|")


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec:
    """The network to build: the name of an architecture and its keyword arguments.

    Args:
        name: a name in `bench.models.architectures.ARCHITECTURES`.
        kwargs: JSON values: numbers, texts, booleans, and flat lists of them.

    Raises:
        BenchError: if a keyword argument is no such value, or too large to be meant.
    """

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.kwargs) > MAX_ARGUMENTS:
            got = len(self.kwargs)
            raise BenchError(
                f"Expected at most {MAX_ARGUMENTS} arguments for architecture {self.name!r}, but got {got}."
            )
        for key, value in self.kwargs.items():
            if not key.isidentifier() or not _is_plain(value):
                raise BenchError(
                    f"Expected argument {_shown(key)} of architecture {self.name!r} to be a number up to"
                    f" {MAX_NUMBER:,}, a short text or a short list of them, but got {_shown(value)}."
                )


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """One measured accuracy, as counts.

    Args:
        name: what was measured: "clean", "pgd20".
        checkpoint: of which weights: "best" (those stored) or "last" (those at the end of training).
        split: on what: "validation" (held-out training images) or "test".
        n_examples: how many examples were tried; at least 1.
        n_correct: how many were right; 0 to `n_examples`.

    Raises:
        BenchError: if the counts do not fit each other.
    """

    name: str
    checkpoint: str
    split: str
    n_examples: int
    n_correct: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_correct <= self.n_examples or self.n_examples < 1:
            raise BenchError(
                f"Expected accuracy {self.name!r} to have 0 to {self.n_examples} correct of at least 1,"
                f" but got {self.n_correct}."
            )

    @property
    def fraction(self) -> float:
        """The accuracy in [0, 1]."""
        return self.n_correct / self.n_examples


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is known about a checkpoint beside its weights.

    Args:
        model: name of the model ("aw-net").
        dataset: name of the data that it was trained on.
        architecture: the network that the weights fit.
        recipe: name of the training recipe.
        scale: of the recipe: "paper", "small", "tiny".
        seed: seed of the training run.
        data_digest: digest of the training data.
        commit: the code that trained it.
        date: when training ended, ISO 8601.
        training_seconds: how long its steps and warm-up took by the clock, without validation.
        hardware: on what.
        licence: SPDX name of the weights' licence.
        accuracies: what training measured; never used as a result.
        differences: what differs from the paper, one sentence each.
        versions: of Python and of the packages that matter.
        sha256: of the weights file; `write_checkpoint` fills it in.
        epochs: how many there were, at least 1; None where nobody wrote it down. The weights may be an earlier one's.
        images: how many images training saw in all of them, one as often as it was seen.
        starts_from: the trained model whose weights it began with; None where these were random.
        teachers: trained models that it learned from.
        origins: digests of the weights of all these, by name, as rows have them: what ships under a name may change.
        schema_version: of this record.
    """

    model: str
    dataset: str
    architecture: ArchitectureSpec
    recipe: str
    scale: str
    seed: int
    data_digest: str
    commit: str
    date: str
    training_seconds: float
    hardware: str
    licence: str
    accuracies: tuple[Accuracy, ...] = ()
    differences: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    epochs: int | None = field(default=None, metadata=OPTIONAL)
    images: int | None = field(default=None, metadata=OPTIONAL)
    starts_from: str | None = field(default=None, metadata=OPTIONAL)
    teachers: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    origins: dict[str, str] = field(default_factory=dict, metadata=OPTIONAL)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("images", self.images)):
            if value is not None and value < 1:
                raise BenchError(f"Expected `{name}` to be at least 1, but got {value}.")
        if not _SHA256.fullmatch(self.sha256):
            raise BenchError(f"Expected `sha256` to be 64 hexadecimal digits, but got {_shown(self.sha256)}.")

    def accuracy(self, name: str, *, checkpoint: str = "best", split: str | None = None) -> Accuracy | None:
        """The measured accuracy `name` of that checkpoint, or None; without `split`, test before validation."""
        found = [each for each in self.accuracies if (each.name, each.checkpoint) == (name, checkpoint)]
        found = [each for each in found if split in (None, each.split)]
        return min(found, key=lambda each: each.split != "test", default=None)

    def to_json(self) -> str:
        """The manifest as JSON text, keys in the order of the fields, with a final newline."""
        return json.dumps(to_json(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            BenchError: if the text is no JSON object, or a field is missing, unknown or of the wrong type.
        """
        try:
            values = strict_json.loads(text)
            if isinstance(values, dict) and values.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
                got = _shown(values["schema_version"])
                raise BenchError(
                    f"Expected a manifest of schema version {SCHEMA_VERSION}, but got {got}. A newer bench may read it."
                )
            return from_json(cls, values, "manifest")
        except ValueError as error:
            raise BenchError(f"It is no manifest: {str(error)[:MAX_TEXT]}") from None

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read the manifest in `path`.

        Raises:
            BenchError: if there is none, or it is not one; the message names the file.
        """
        try:
            return cls.from_json(read_regular(path, most_bytes=MAX_BYTES).decode())
        except FileNotFoundError:
            raise BenchError(f"No manifest {path}: weights need their <dataset>.json beside them.") from None
        except OSError as error:
            raise BenchError(f"Cannot read manifest {path}: {error.strerror or error}.") from None
        except UnicodeDecodeError as error:
            raise BenchError(f"Cannot read manifest {path}: {error}.") from None
        except BenchError as error:
            raise BenchError(f"Cannot use manifest {path}: {error}") from None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= MAX_LIST and all(not isinstance(each, list | tuple) and _is_plain(each) for each in value)
    if isinstance(value, int | float):
        return abs(value) <= MAX_NUMBER
    return value is None or (isinstance(value, str) and len(value) <= MAX_TEXT)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
