"""An entry of a journal: what a stage did to a chunk, as JSON, read strictly."""

from __future__ import annotations

import base64
import dataclasses
import math
from typing import Any

from bench.core import strict_json
from bench.evaluation.journal.chunks import Chunk
from bench.evaluation.results import StageResult
from bench.row import from_json, to_json
from bench.row.arrays import Breaks, dump_evidence, load_evidence, most_evidence_bytes
from bench.suites import VERDICT_PASSES

__all__ = ["as_entry", "read_entry"]


def as_entry(result: StageResult, inputs: str) -> dict[str, Any]:
    """A result as JSON, with its breaks as text where it has some, and the digest of the clean examples."""
    entry = {"inputs": inputs, **to_json(dataclasses.replace(result, breaks=None))}
    if result.breaks is not None:
        entry["breaks"] = base64.b64encode(dump_evidence(result.breaks)).decode("ascii")
    return entry


def read_entry(body: bytes, name: str, chunk: Chunk, shape: tuple[int, ...] | None) -> tuple[StageResult, str]:
    """What `as_entry` made: the result, with its breaks where a shape is given, and the digest.

    Raises:
        ValueError: if no run can have written it about this chunk.
    """
    entry = strict_json.loads(body, infinite=True)
    if not isinstance(entry, dict):
        raise ValueError(f"Expected `{name}` to be an object, but got {entry!r:.60}.")
    inputs, breaks = entry.pop("inputs", None), entry.pop("breaks", "")
    if not isinstance(inputs, str) or not isinstance(breaks, str):
        raise ValueError(f"Expected `inputs` and `breaks` of `{name}` to be text.")
    result = from_json(StageResult, entry, name)
    _refuse_contradictions(result, len(chunk.indices))
    if not breaks or shape is None:
        return result, inputs
    return dataclasses.replace(result, breaks=_unpacked(breaks, len(chunk.indices), shape)), inputs


def _unpacked(text: str, n_examples: int, shape: tuple[int, ...]) -> Breaks:
    most = most_evidence_bytes(n_examples, shape)
    return load_evidence(base64.b64decode(text, validate=True), most_bytes=most)


def _refuse_contradictions(result: StageResult, n_examples: int) -> None:
    """Refuse what no stage can have done to a chunk of so many examples.

    Raises:
        ValueError: saying why not.
    """
    counts = (result.right, result.moved, result.claimed, result.rejected)
    columns = (result.attacked, result.robust, result.margin, result.finite, *counts)
    if any(len(column) != n_examples for column in columns):
        raise ValueError(f"Expected {n_examples} examples.")
    for attacked, robust, margin, finite, right, *counted in zip(*columns, strict=True):
        if not attacked and (robust or not finite or margin != math.inf or right or any(counted)):
            raise ValueError("An example has a verdict that was not attacked.")
        if robust and (margin < 0 or (not finite and right <= 1)):  # of one pass; of several some may be infinite
            raise ValueError("An example withstood what broke it.")
        if attacked and not robust and margin > 0:
            raise ValueError("An example was broken that withstood.")
        if not 0 <= right < 2**VERDICT_PASSES:
            raise ValueError(f"Expected `right` to be of at most {VERDICT_PASSES} passes.")
    if min(result.forwards, result.backwards, result.batch_size - 1) < 0 or not 0 <= result.seconds < math.inf:
        raise ValueError("Expected what it took to be at least 0.")
