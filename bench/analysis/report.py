"""The result of an analysis as it is stored: what was looked at, what was found, what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.analysis import Claim
from bench.core import strict_json
from bench.core.errors import BenchError
from bench.row import Provenance, from_json, to_json
from bench.storage import read_regular

__all__ = ["FORMAT", "Looked", "Report", "dump_report", "read_report"]

FORMAT = 1
_MOST_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A model that was looked at.

    Args:
        role: "model" or "control".
        name: as it was asked for; of a control the name of its weights file.
        digest: of its weights.
        factory: digest of the source that builds it.
    """

    role: str
    name: str
    digest: str
    factory: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that is known of one analysis.

    Args:
        format: of this file.
        analysis: its name.
        parameters: the fields of the analysis.
        models: in the user's order, the control last where there is one.
        dataset: name of the data.
        dataset_digest: of the whole test split.
        indices: of the examples.
        threat_model: what an attacker may do.
        seed: of all draws.
        values: what was found.
        claims: what it says.
        figures: file names without their ending, by the figures' titles.
        seconds: what it took, over all runs that contributed.
        device: where it was computed.
        notice: set where a substitute sample of the data was used.
        provenance: where it comes from.
    """

    format: int = FORMAT
    analysis: str
    parameters: dict[str, Any]
    models: tuple[Looked, ...]
    dataset: str
    dataset_digest: str
    indices: str
    threat_model: str
    seed: int
    values: dict[str, Any]
    claims: tuple[Claim, ...]
    figures: dict[str, str]
    seconds: float
    device: str
    notice: str | None
    provenance: Provenance

    @property
    def stem(self) -> str:
        """The name of its files without an ending: one result for each analysis and dataset."""
        return f"{self.analysis}-{self.dataset}"


def dump_report(report: Report) -> str:
    """The JSON text."""
    return json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_report(path: Path) -> Report:
    """Read a stored result.

    Raises:
        BenchError: if the file is missing, or is no such result, naming it.
    """
    try:
        value = strict_json.loads(read_regular(path, most_bytes=_MOST_BYTES))
        found = value.get("format") if isinstance(value, dict) else None
        if found != FORMAT:
            raise ValueError(f"Expected `format` to be {FORMAT}, but got {found!r}.")
        return from_json(Report, value, "report")
    except OSError as error:
        raise BenchError(f"Cannot read {path} as the result of an analysis: {error.strerror or error}.") from None
    except ValueError as error:
        raise BenchError(f"Cannot read {path} as the result of an analysis: {error}") from None
