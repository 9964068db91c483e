"""A model with faults to order, what one process finds of it, and evaluations by a pool."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import data, models, suites
from bench.core.types import Examples
from bench.evaluation import evaluate, result_of
from bench.evaluation.execution.executor import Executor
from bench.models.blueprint import blueprint_of
from bench.row.record import Result
from bench.row.schema import to_json

NET = Path(__file__).with_name("faulty_net.py")
N_EXAMPLES = 200


@dataclass
class Bed:
    """A folder with the model's file, to which orders are written, and the driver's own model.

    Args:
        batch_mates: entries of the only chunks that share a compute batch of 64: an attack sees 53 and 7 of them.
    """

    folder: Path
    model: models.LoadedModel
    examples: Examples
    batch_mates: tuple[str, str] = ("000002-128-191.json", "000003-192-199.json")

    def order(self, name: str, text: str = "") -> None:
        """Order a fault."""
        (self.folder / name).write_text(text)

    def mark_of(self, index: int) -> str:
        """What an order calls the example at `index`."""
        pixels = self.examples.inputs[index].flatten().double()
        return repr(float(pixels @ torch.arange(1.0, 65.0, dtype=torch.float64).sqrt()))

    def run(self, pool: Any = None, *, suite: Any = None, **options: Any) -> Result:
        """Evaluate, by a pool or in this process."""
        dataset = data.load("digits")
        threat_model = dataset.default_threat_model
        blueprint = blueprint_of(self.model, dataset="digits", threat_model=threat_model)
        return result_of(
            evaluate(
                self.model.module,
                self.examples,
                threat_model=threat_model,
                suite=suite or suites.get("quick-v1", engine="fast"),
                executor=Executor(pool=pool, blueprint=blueprint) if pool is not None else None,
                **options,
            )
        )

    def finished(self, journal: Path) -> dict[Path, int]:
        """The entries that no run computes again, by when they were written: those of batches that are all there."""
        found = {path: path.stat().st_mtime_ns for path in journal.glob("*/*.json")}
        first, last = self.batch_mates
        return {
            path: stamp
            for path, stamp in found.items()
            if path.name != first or path.parent.name == "clean" or path.with_name(last) in found
        }


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """One model per module, so that its pool keeps it at hand."""
    folder = tmp_path_factory.mktemp("bed")
    shutil.copy(NET, folder / "net.py")
    dataset = data.load("digits")
    os.environ["FAULTY_DRIVER"] = str(os.getpid())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.load(f"{folder / 'net.py'}:make", dataset=dataset)
    return Bed(folder=folder, model=model, examples=dataset.examples[:N_EXAMPLES])


@pytest.fixture(autouse=True)
def no_orders_left(bed: Bed) -> Any:
    """Faults end with their test."""
    yield
    for path in bed.folder.iterdir():
        if path.is_file() and path.name != "net.py":
            path.unlink()


@pytest.fixture(scope="module")
def expected(bed: Bed) -> dict[str, Any]:
    """The result of one process."""
    found: dict[str, Any] = to_json(bed.run())
    assert 0 < found["n_robust"] < found["n_clean"] < N_EXAMPLES
    return found


@pytest.fixture
def same(expected: dict[str, Any]) -> Callable[[Result], bool]:
    """Whether a result is that of one process, to the byte."""
    return lambda result: bool(to_json(result) == expected)
