"""A driver to be killed: `python killed_driver.py MODEL.py JOURNAL OUT POOL`.

POOL is 0 for no workers, 2 for two, or the address of a Ray cluster.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from bench import data, models, suites
from bench.evaluation import evaluate, result_of
from bench.evaluation.execution.executor import Executor
from bench.evaluation.execution.process_pool import ProcessPool
from bench.evaluation.execution.ray_pool import RayPool
from bench.models.blueprint import blueprint_of
from bench.row.schema import to_json


def workers(pool: str) -> AbstractContextManager[Any]:
    """Who computes; None inside the context for the driver itself."""
    if pool == "0":
        return nullcontext()
    return ProcessPool(["cpu", "cpu"], threads=1) if pool == "2" else RayPool(address=pool, device="cpu")


def main(model_file: str, journal: str, out: str, pool: str) -> None:
    """Evaluate on 200 digits, and write the result."""
    os.environ["FAULTY_DRIVER"] = str(os.getpid())
    torch.manual_seed(0)
    dataset = data.load("digits")
    model = models.load(f"{model_file}:make", dataset=dataset)
    threat_model = dataset.default_threat_model
    blueprint = blueprint_of(model, dataset="digits", threat_model=threat_model)
    with workers(pool) as hands:
        found = evaluate(
            model.module,
            dataset.examples[:200],
            threat_model=threat_model,
            suite=suites.get("quick-v1", engine="fast"),
            journal=Path(journal),
            executor=Executor(pool=hands, blueprint=blueprint) if hands is not None else None,
        )
    Path(out).write_text(json.dumps(to_json(result_of(found))))


if __name__ == "__main__":
    main(*sys.argv[1:])
