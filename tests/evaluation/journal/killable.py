"""A slow evaluation to be killed: `python killable.py JOURNAL OUT SECONDS-PER-CHUNK`; the journal may be a URL."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.digest import of_json
from bench.core.types import Classifier, Examples, ThreatModel
from bench.evaluation import evaluate, result_of
from bench.row.schema import to_json
from bench.storage import lease
from bench.suites import AttackSuite

PAUSE = float(sys.argv[3])
lease.LEASE_SECONDS = float(os.environ.get("LEASE_SECONDS", lease.LEASE_SECONDS))


@dataclass(frozen=True, kw_only=True)
class SlowPGD(PGD):
    """PGD that gives the killer time; the pause is no parameter."""

    name: str = "slow-pgd"
    steps: int = 3

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        time.sleep(PAUSE)
        return super().perturb(classifier, examples, threat_model, seed=seed)


def main() -> None:
    """Evaluate, and write the result as JSON's digest and value."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    inputs = torch.rand(64 * 5 + 10, 1, 4, 4)
    with torch.no_grad():
        net[3].bias -= net(inputs).mean(0)  # type: ignore[operator]
        labels = net(inputs).argmax(1)
    found = evaluate(
        net,
        Examples(inputs=inputs, labels=labels, indices=torch.arange(len(inputs))),
        threat_model="Linf:0.05",
        suite=AttackSuite(name="slow", version=1, attacks=(FGSM(), SlowPGD())),
        journal=sys.argv[1],
    )
    result = to_json(result_of(found))
    Path(sys.argv[2]).write_text(f"{of_json(result)} {found.n_robust} {found.n_clean} {found.batch_size}")


if __name__ == "__main__":
    main()
