"""A small board on digits: a robust model under a real suite, and a weak one that nothing has attacked yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import data, leaderboard, models
from bench.attacks.fgsm import FGSM
from bench.evaluation import cost_of, evaluate, result_of
from bench.jobs.evidence import pack
from bench.jobs.run import RunRequest, run
from bench.row.record import Digests, Provenance, Record
from bench.suites import AttackSuite

N_EXAMPLES = 64


class _Still(FGSM):
    """An attack that finds nothing."""

    def perturb(self, classifier, examples, threat_model, *, seed):
        return examples.inputs


@pytest.fixture(scope="session")
def finished_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: `pgd-at` under quick-v1, `standard` under a suite that finds nothing."""
    root = tmp_path_factory.mktemp("finished") / "board"
    run(
        RunRequest(
            model="pgd-at",
            dataset="digits",
            suite="quick-v1",
            samples=N_EXAMPLES,
            device="cpu",
            leaderboard=root,
            journal=root.parent / "journal",
        )
    )
    dataset = data.load("digits")
    model = models.load("standard", dataset=dataset)
    suite = AttackSuite(name="still", version=1, attacks=(_Still(),))
    threat_model = dataset.default_threat_model
    found = evaluate(model.module, dataset.examples[:N_EXAMPLES], threat_model=threat_model, suite=suite)
    packed = pack(found.breaks, dataset)
    record = Record(
        model="standard",
        dataset="digits",
        threat_model=str(threat_model),
        suite=suite.label,
        digests=Digests(suite=suite.digest, dataset=dataset.digest, model=model.digest, factory=model.factory_digest),
        result=result_of(found),
        evidence=packed.link,
        cost=cost_of(found),
        provenance=Provenance(commit=None, versions={}, date="2026-01-01T00:00:00Z", command="bench run"),
    )
    leaderboard.write(record, root, evidence=packed.content)
    return root


@pytest.fixture
def board(finished_board: Path, tmp_path: Path) -> Path:
    """The board, to be tampered with."""
    return Path(shutil.copytree(finished_board, tmp_path / "board"))


@pytest.fixture
def row(board: Path) -> Path:
    """The row of `pgd-at`."""
    return board / "quick-v1" / "digits" / "Linf-1_10" / "pgd-at.json"


@pytest.fixture
def weak_row(board: Path) -> Path:
    """The row of `standard`, all of whose correct examples are robust so far."""
    return board / "still-v1" / "digits" / "Linf-1_10" / "standard.json"
