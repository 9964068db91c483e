"""A driver to be killed: `python killed_driver.py MODEL.py JOURNAL OUT CREW`, CREW being 2 or a Ray address."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from bench import data, models, suites
from bench.core.schema import to_json
from bench.evaluation import evaluate, result_of
from bench.evaluation.executors.crewed import Crewed
from bench.evaluation.executors.processes import Processes
from bench.evaluation.executors.ray_tasks import RayCrew
from bench.models.blueprint import blueprint_of


def main(model_file: str, journal: str, out: str, crew: str) -> None:
    """Evaluate on 200 digits, and write the result."""
    os.environ["FAULTY_DRIVER"] = str(os.getpid())
    torch.manual_seed(0)
    dataset = data.load("digits")
    model = models.load(f"{model_file}:make", dataset=dataset)
    threat_model = dataset.default_threat_model
    blueprint = blueprint_of(model, dataset="digits", threat_model=threat_model)
    mine = Processes(["cpu", "cpu"], threads=1) if crew == "2" else RayCrew(address=crew, device="cpu")
    with mine as hands:
        found = evaluate(
            model.module,
            dataset.examples[:200],
            threat_model=threat_model,
            suite=suites.get("quick-v1", engine="fast"),
            journal=Path(journal),
            executor=Crewed(crew=hands, blueprint=blueprint),
        )
    Path(out).write_text(json.dumps(to_json(result_of(found))))


if __name__ == "__main__":
    main(*sys.argv[1:])
