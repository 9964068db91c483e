"""What is done, durably: one small file per (stage, chunk), under a header that says for which run.

A journal is a folder, or a URL in a store: `header.json`, `.lock` or a lease, `<stage>/<chunk>-<first>-<last>.json`,
and what the short doctor found, in `doctor/<first>-<count>.json`. Each entry is written whole or not at all, and
carries a checksum: one that does not fit is as good as absent, so the work is done again. One whose checksum fits and
whose content cannot be was written by somebody else, and is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from bench.core import digest, strict_json
from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.journal.chunks import Chunk
from bench.evaluation.journal.entries import as_entry, read_entry
from bench.evaluation.journal.header import Header, differences, inputs_digest
from bench.evaluation.results import StageResult
from bench.row import Diagnostic, from_json, pack_verdicts, to_json
from bench.storage import (
    LOCK,
    Guard,
    Place,
    explain_write_errors,
    held,
    is_claim,
    matching,
    read_regular,
    remove_unfinished,
    write_durably,
)

__all__ = ["Journal", "copy_entry", "default_journal", "has_entries", "open_journal", "peek"]

_HEADER = "header.json"
_DOCTOR = "doctor"
# An entry holds breaks of at most 64 inputs in float32; those of 3 x 512 x 512 are 268 million characters of base64.
_MOST_BYTES = 512 << 20

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the short doctor found on a run's first examples.

    Args:
        inputs: digest of the examples.
        form: digest of what else decides it, see `diagnostics.short_form`.
        robust: which of the examples the attacks left robust, packed: suites that share a journal differ there, and
            some checks look at these alone.
        diagnostics: one for each check.
    """

    inputs: str
    form: str
    robust: str
    diagnostics: tuple[Diagnostic, ...]


class Journal:
    """An open journal; `open_journal` makes one.

    Args:
        folder: where it lies.
        header: what it is for.
        check: called before every write; raises where the folder is not held any more.
    """

    def __init__(self, folder: Place, header: Header, check: Guard = lambda: None) -> None:
        self.folder = folder
        self.header = header
        self._check = check
        self._known = _names(folder)

    def read(
        self, stage: str, chunk: Chunk, *, inputs: str, shape: tuple[int, ...] | None = None
    ) -> StageResult | None:
        """Return what is stored for a chunk, or None where nothing whole is.

        Args:
            stage: names its folder.
            chunk: of the run.
            inputs: digest of its clean examples.
            shape: of one input, `(C, H, W)`; None leaves the breaks out.

        Raises:
            BenchError: if it was computed on other inputs than those with digest `inputs`, or what is stored whole
                cannot be what a stage did to this chunk.
        """
        path = self._path(stage, chunk)
        if self._known is not None and path not in self._known:
            return None
        body = _body(path)
        if body is None:
            return None
        try:
            found, there = read_entry(body, path.name, chunk, shape)
        except ValueError as error:
            raise self.refusal(stage, chunk, str(error)) from error
        if there != inputs:
            first, last = chunk.indices[0], chunk.indices[-1]
            raise BenchError(
                f"Journal {self.folder} was made with other examples {first}:{last + 1}. Choose another journal folder,"
                " or the data that it was made with."
            )
        return found

    def write(self, stage: str, chunk: Chunk, result: StageResult, *, inputs: str) -> None:
        """Store what a stage did to a chunk durably; `inputs` is the digest of its clean examples.

        Raises:
            WorkFailedError: if the disk is full, or a store does not answer or let another process in; what was
                stored stays.
            BenchError: if the folder cannot be written.
        """
        self._check()
        self._write(self._path(stage, chunk), as_entry(result, inputs))

    def read_findings(
        self, examples: Examples, form: str, robust: Sequence[bool] | None = None
    ) -> tuple[Diagnostic, ...] | None:
        """What the short doctor found on these examples in this form; None where it has not looked.

        Args:
            examples: what it looked at.
            form: see `Findings`.
            robust: which of them the attacks left robust; whichever these were, for None.
        """
        path = self._findings_path(examples)
        if self._known is not None and path not in self._known:
            return None
        found = _read(path, Findings)
        if found is None or (found.inputs, found.form) != (inputs_digest(examples), form):
            return None
        return found.diagnostics if robust is None or found.robust == pack_verdicts(robust) else None

    def write_findings(
        self, examples: Examples, form: str, robust: Sequence[bool], diagnostics: tuple[Diagnostic, ...]
    ) -> None:
        """Store what the short doctor found; raises as `write` does."""
        self._check()
        findings = Findings(
            inputs=inputs_digest(examples), form=form, robust=pack_verdicts(robust), diagnostics=diagnostics
        )
        self._write(self._findings_path(examples), to_json(findings))

    def _write(self, path: Place, value: Mapping[str, Any]) -> None:
        _write(path, value)
        if self._known is not None:
            self._known.add(path)

    def _findings_path(self, examples: Examples) -> Place:
        return self.folder / _DOCTOR / f"{int(examples.indices[0]):06d}-{len(examples)}.json"

    def refusal(self, stage: str, chunk: Chunk, problem: str) -> BenchError:
        """What to raise where an entry is whole and yet cannot be."""
        return BenchError(
            f"Journal file {self._path(stage, chunk)} is whole, but no run of bench wrote it: {problem:.100}"
            " Remove it, or choose another journal folder."
        )

    def _path(self, stage: str, chunk: Chunk) -> Place:
        return self.folder / stage / f"{chunk.key}.json"


@contextlib.contextmanager
def open_journal(folder: Place, header: Header) -> Iterator[Journal]:
    """Open or make the journal in `folder`, for this process alone.

    Args:
        folder: where it lies; made where it is missing.
        header: what the run is.

    Raises:
        BenchError: if it was made for another run (the fields that differ are named), another process uses it, the
            folder holds something else, or it cannot be written.
    """
    if isinstance(folder, Path):
        with explain_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    _refuse_other_folder(folder)
    with held(folder) as check:
        if isinstance(folder, Path):
            remove_unfinished(folder, _HEADER)
            remove_unfinished(folder, "*/*.json")
        stored = _read(folder / _HEADER, Header) if (folder / _HEADER).exists() else None
        if stored is not None and stored.fingerprint is None and not _has_entries(folder):
            stored = None  # nothing was done for whichever function it was
        if stored is None:
            _refuse_headless(folder)
        if stored is None:
            _write(folder / _HEADER, to_json(header))
        else:
            header = dataclasses.replace(header, precision_reason=stored.precision_reason)
        _refuse_other_run(folder, stored or header, header)
        yield Journal(folder, header, check)


def has_entries(folder: Place) -> bool:
    """Whether anything is finished there."""
    return any(True for _ in matching(folder, "*/*.json"))


def peek(folder: Place) -> Journal | None:
    """The journal in `folder`, to be read without being held; None where there is none."""
    stored = _read(folder / _HEADER, Header)
    return Journal(folder, stored) if stored is not None else None


def copy_entry(source: Place, target: Place) -> None:
    """Copy a stored entry from one journal's folder to another's, unless it is damaged or there already."""
    body = _body(source)
    if body is not None and _body(target) is None:
        _store(target, body)


def default_journal(header: Header) -> Path:
    """Where a run's journal lies unless the user says otherwise: in the per-user cache, by the header's digest."""
    threat_model = header.threat_model.replace(":", "-").replace("/", "_")
    asked = dataclasses.replace(header, precision_reason="", command="")
    name = f"{header.suite}-{threat_model}-{asked.digest[:16]}"
    return platformdirs.user_cache_path("bench", appauthor=False) / "journals" / name


def _refuse_other_run(folder: Place, stored: Header, wanted: Header) -> None:
    named = differences(stored, wanted)
    if named:
        afresh = f"; to start afresh: rm -r {shlex.quote(str(folder))}" if isinstance(folder, Path) else ""
        raise BenchError(
            f"Journal {folder} was made for another run: {', '.join(named)}."
            f" Choose another journal folder, or the options and the code that it was made with{afresh}"
        )


def _refuse_other_folder(folder: Place) -> None:
    """What has been a journal has a header, or the lock or claim of a process that was killed before it wrote one."""
    names = {child.name for child in matching(folder, "*")}
    holds_other = not names & {_HEADER, LOCK} and not all(map(is_claim, names))
    if holds_other:
        raise BenchError(f"Folder {folder} is not empty and holds no journal. Choose a new or an empty folder.")


def _refuse_headless(folder: Place) -> None:
    """Entries whose header is gone or damaged could be any run's."""
    if _has_entries(folder):
        raise BenchError(f"Journal {folder} has lost its header. Remove the folder, or choose another one.")


def _has_entries(folder: Place) -> bool:
    return any(child.is_dir() for child in matching(folder, "*"))


def _names(folder: Place) -> set[Place] | None:
    """What is there, found with one listing where each look would be a request; None on this machine."""
    return None if isinstance(folder, Path) else set(folder.glob("*/*.json"))


def _write(path: Place, value: Mapping[str, Any]) -> None:
    _store(path, json.dumps(value).encode())


def _store(path: Place, body: bytes) -> None:
    write_durably(path, digest.of_bytes(body).encode() + b"\n" + body + b"\n")


def _read(path: Place, kind: type[T]) -> T | None:
    """Read what `_write` wrote; None where it is absent, cut short or damaged."""
    body = _body(path)
    try:
        return from_json(kind, strict_json.loads(body, infinite=True), path.name) if body is not None else None
    except ValueError:
        return None


def _body(path: Place) -> bytes | None:
    """What `_store` stored; None where it is absent, cut short or damaged."""
    try:
        checksum, _, rest = read_regular(path, most_bytes=_MOST_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(
            f"Cannot read journal file {path}: {error.strerror or error}. Choose a folder that you may write to."
        ) from error
    body = rest.removesuffix(b"\n")
    return body if digest.of_bytes(body).encode() == checksum else None
