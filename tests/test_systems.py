"""The numbers of docs/systems.md are those of the manifests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.leaderboard import read
from bench.models import shipped_digest
from bench.training.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "systems.md"
ROWS = ROOT / "leaderboard" / "swift-v1" / "cifar10" / "Linf-8_255"
MANIFESTS = sorted((ROOT / "checkpoints").glob("*/cifar10.json"))


def table() -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index("<!-- checkpoints") : text.index("<!-- end -->")].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:]]
    return {row[0]: row[1:] for row in rows}


def budget(value: dict[str, Any]) -> list[str]:
    """Epochs, the images of all of them, and the hours that the threads took together."""
    start, threads = value.get("starts_from"), re.search(r"CPU, (\d+) threads", value["hardware"])
    assert threads is not None
    hours = value["training_seconds"] * int(threads[1]) / 3600
    if start is not None:
        today = shipped_digest(start, value["dataset"])
        if value.get("origins", {}).get(start, today) != today:
            start = f"an earlier {start}"
    return [
        f"{value['epochs']} after {start}" if start else str(value["epochs"]),
        f"{value['images'] / 1e6:.2f}",
        f"{hours:.1f}",
    ]


def whole_test_set(model: str) -> str:
    """Robust accuracy of the row of `swift-v1` on all test images, with its interval."""
    path = ROWS / f"{model}.json"
    row = read(path) if path.exists() else None
    if row is None or row.result.n_examples < 10_000:
        return "-"
    low, high = row.robust_interval
    return f"{row.n_robust / 100:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def expected(manifest: Path) -> list[str]:
    value = json.loads(manifest.read_text(encoding="utf-8"))
    found = {(each["name"], each["checkpoint"], each["split"]): each for each in value["accuracies"]}

    def percent(name: str, checkpoint: str, split: str) -> str:
        each = found[name, checkpoint, split]
        return f"{100 * each['n_correct'] / each['n_examples']:.1f}"

    clean, robust = percent("clean", "best", "test"), percent("pgd20", "best", "test")
    best, last = (
        f"{percent('clean', which, 'validation')}, {percent('pgd10', which, 'validation')}"
        for which in ("best", "last")
    )
    images = f"{found['clean', 'best', 'test']['n_examples']:,}"
    return [*budget(value), images, clean, robust, best, last, whole_test_set(value["model"])]


def test_every_checkpoint_has_its_line_and_no_other():
    """The table names exactly the CIFAR-10 checkpoints that ship."""
    assert sorted(table()) == [manifest.parent.name for manifest in MANIFESTS]


@pytest.mark.parametrize(
    "manifest", sorted((ROOT / "checkpoints").glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_manifest_lists_all_that_differs_from_the_paper(manifest):
    """What its recipe says, whenever that was found; what it says besides is its own, such as other epochs."""
    value = json.loads(manifest.read_text(encoding="utf-8"))
    plan = RECIPES.get(value["recipe"]).plan(value["scale"])
    assert set(plan.differences) <= set(value["differences"])
    assert len(set(value["differences"]) - set(plan.differences)) <= (value["epochs"] != plan.epochs)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_numbers_are_the_manifests(manifest):
    """Images and accuracies of a line are what training wrote."""
    assert table()[manifest.parent.name] == expected(manifest)
