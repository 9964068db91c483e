"""What a run did, epoch by epoch, as CSV beside its checkpoint; rewritten whole, so a resumed run leaves no gap."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from bench.core.durable import write_durably
from bench.training.loop import EpochResult

__all__ = ["write_csv"]


def write_csv(path: Path, history: Sequence[EpochResult]) -> None:
    """Write one line per epoch: loss, held-out accuracies (fractions), images per second, seconds so far."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochResult)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(result) for result in history)
    write_durably(path, text.getvalue().encode())
