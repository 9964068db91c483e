"""A published board to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core import digest
from bench.leaderboard import write
from bench.leaderboard.pages.publication import publish
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks
from bench.row.arrays.evidence_file import Gallery
from bench.row.packing import pack_verdicts
from bench.row.record import AttackCost, Card, Diagnostic, EvidenceFile, Record
from bench.row.result import Reported

EVIL = "<script>alert('t')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def hostile_title() -> str:
    """What a model of the board calls itself."""
    return EVIL


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Path:
    """A board of five models on digits, of which one is short and one has a hostile title, and a row on cifar10."""
    root = tmp_path_factory.mktemp("board")
    failed = Diagnostic(id="R8", status="fail", statistic=0.25, threshold=0.5, evidence="says who?", next="cw")
    router = Reported(name="router", parameters={}, statistics={"clean_called_clean": 0.966})
    for model, title, n_clean, n_robust in [
        ("first", "First", 355, 300),
        ("second", "Second", 340, 240),
        ("evil", EVIL, 350, 200),
        ("doubted", "Doubted", 345, 290),
        ("short", "Short", 60, 30),
    ]:
        n_examples = 64 if model == "short" else 360
        row = record([place < n_robust for place in range(n_examples)], dataset="digits", threat_model="Linf:1/10")
        clean = [place < n_clean for place in range(n_examples)]
        result = dataclasses.replace(
            row.result,
            n_clean=n_clean,
            clean=pack_verdicts(clean),
            attacks=(*row.result.attacks, dataclasses.replace(row.result.attacks[0], name="cw")),
            diagnostics=(failed,) if model == "doubted" else (),
            reported=(router,) if model == "doubted" else (),
        )
        costs = tuple(AttackCost(name=name, seconds=1.0, forwards=9000, backwards=8000) for name in ("pgd-20", "cw"))
        card = Card(title=title, reference="arXiv 2306.03430", architecture="net", n_parameters=12, extra_data="no")
        changed = dataclasses.replace(
            row, model=model, result=result, card=card, cost=dataclasses.replace(row.cost, attacks=costs)
        )
        if model == "first":
            write(dataclasses.replace(changed, threat_model="Linf:1/4"), root)
            content = stored_breaks(first=n_robust, stop=n_clean)
            link = EvidenceFile(sha256=digest.of_content(content), n_breaks=n_clean - n_robust)
            write(dataclasses.replace(changed, evidence=link), root, evidence=content)
        else:
            write(changed, root)
    write(record([True, False], model="other", suite="quick-v1"), root)
    publish(root)
    return root / "index.html"


def stored_breaks(*, first: int, stop: int) -> bytes:
    """A file of made-up breaks of 8 x 8 images, of which two are shown; a class name is hostile."""
    count = stop - first
    breaks = Breaks(
        indices=np.arange(first, stop),
        labels=np.zeros(count, np.int64),
        predictions=np.ones(count, np.int64),
        margins=-np.ones(count, np.float32),
        rounded=np.ones(count, np.bool_),
        deltas=np.full((count, 1, 8, 8), 10, np.int8),
        exact=np.empty((0, 1, 8, 8), np.float32),
    )
    clean = np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8)
    gallery = Gallery(
        indices=np.arange(first, first + 2),
        clean=clean,
        adversarial=clean + np.uint8(10),
        classes=np.array([["zero", "<i>one</i>"]] * 2),
    )
    return evidence_file.dump_evidence(breaks, gallery)
