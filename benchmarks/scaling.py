"""What workers bring and cost: chunks per second with 1 and 2 of them, overhead per chunk, memory per worker.

    BENCH_DATA_DIR=... python benchmarks/scaling.py [--chunks 16] [--steps 10] [--model pgd-at] [--dataset cifar10]

Each worker has one thread, and nothing is journaled. It needs as many idle cores as workers (Linux: `taskset -c 0,1`),
since figures by the clock mean nothing otherwise; what is told in CPU seconds holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from subject import errors_in_one_line

from bench import data, models
from bench.attacks import PGD
from bench.core.types import Examples, ThreatModel
from bench.evaluation import CHUNK_SIZE, Executor, ProcessPool, Progress, evaluate
from bench.models import LoadedModel, blueprint_of
from bench.suites import AttackSuite

_TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Marks when the attack begins, which is when the clean verdicts end, and what CPU time was used until then."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self.wall = self.driver = self.workers = 0.0

    def __call__(self, event: Progress) -> None:
        if event.attack == "clean":
            self.wall, self.driver, self.workers = time.perf_counter(), time.process_time(), self.cpu()

    def cpu(self) -> float:
        """CPU seconds of all workers."""
        fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pool.processes)
        return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


def measure(
    model: LoadedModel, examples: Examples, threat_model: ThreatModel, *, dataset: str, n_workers: int, steps: int
) -> dict[str, float]:
    """Attack all examples once, and say what each chunk took."""
    blueprint = blueprint_of(model, dataset=dataset, threat_model=threat_model)
    suite = AttackSuite(name="scaling", version=1, attacks=(PGD(steps=steps),))
    with ProcessPool(["cpu"] * n_workers, threads=1) as pool:
        watch = Watch(pool)
        found = evaluate(
            model.module,
            examples,
            threat_model=threat_model,
            suite=suite,
            progress=watch,
            executor=Executor(pool=pool, blueprint=blueprint),
        )
        wall = time.perf_counter() - watch.wall
        n_chunks = -(-len(examples) // CHUNK_SIZE)
        computing = sum(stage.seconds for attack in found.attacks for stage in attack.stages)
        return {
            "chunks per second": n_chunks / wall,
            "compute seconds per chunk": computing / n_chunks,
            "idle or overhead per chunk": (wall * n_workers - computing) / n_chunks,
            "worker CPU per chunk": (watch.cpu() - watch.workers) / n_chunks,
            "driver CPU per chunk": (time.process_time() - watch.driver) / n_chunks,
            "peak memory per worker, MiB": statistics.mean(_peak(pid) for pid in pool.processes),
        }


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """Measure 1 and 2 workers, and print both beside each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pgd-at")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    dataset = data.load(options.dataset)
    model = models.load(options.model, dataset=dataset)
    examples = dataset.examples[: options.chunks * CHUNK_SIZE]
    found = [
        measure(model, examples, dataset.default_threat_model, dataset=dataset.name, n_workers=n, steps=options.steps)
        for n in (1, 2)
    ]
    what = (
        f"{options.model} on {options.dataset}, {options.chunks} chunks of {CHUNK_SIZE}, PGD with {options.steps} steps"
    )
    lines = [what, f"{'':30}{'1 worker':>12}{'2 workers':>12}{'ratio':>8}"]
    for name in found[0]:
        one, two = (each[name] for each in found)
        lines.append(f"{name:30}{one:12.4f}{two:12.4f}{two / one if one else 0.0:8.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
