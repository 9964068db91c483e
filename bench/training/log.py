"""What a run did, epoch by epoch, as CSV beside its checkpoint; rewritten whole, so a resumed run leaves no gap."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.storage.atomic_write import write_durably
from bench.training.run import EpochResult

__all__ = ["write_csv"]


def write_csv(path: Path, history: Sequence[EpochResult]) -> None:
    """Write one line per epoch: loss, held-out accuracies (fractions), images per second, seconds, and the rest."""
    rows = [asdict(result) for result in history]
    flat = [{**row.pop("measured"), **row} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_durably(path, text.getvalue().encode())
