"""What a run did, epoch by epoch, beside its checkpoint: as CSV, and as TensorBoard events where it is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bench.storage import write_durably
from bench.training.run import EpochResult

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["EventLog", "write_csv"]


def write_csv(path: Path, history: Sequence[EpochResult]) -> None:
    """Write one line per epoch: loss, held-out accuracies (fractions), images per second, seconds, and the rest."""
    rows = [asdict(result) for result in history]
    flat = [{**row.pop("measured"), **row} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_durably(path, text.getvalue().encode())


class EventLog:
    """A folder of TensorBoard events, to be used in a `with` block.

    Args:
        folder: where the events go; made with the first finished epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.available = find_spec("tensorboard") is not None
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, history: Sequence[EpochResult]) -> None:
        """Add the newest epoch; in a resumed run first all before it, which replace what the folder holds."""
        if not self.available:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            for stale in self.folder.glob("events.out.tfevents.*"):
                stale.unlink()
            self._writer = SummaryWriter(str(self.folder))
            _write(self._writer, history)
        else:
            _write(self._writer, history[-1:])


def _write(writer: SummaryWriter, history: Sequence[EpochResult]) -> None:
    for result in history:
        scalars = {
            "loss": result.loss,
            "held out/clean": result.clean,
            "held out/PGD-10": result.robust,
            "images per second": result.images_per_second,
            **{f"held out/{name}": value for name, value in result.measured.items()},
        }
        for name, value in scalars.items():
            writer.add_scalar(name, value, result.epoch + 1)
    writer.flush()
