"""The numbers of docs/systems.md are those of the manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "systems.md"
MANIFESTS = sorted((ROOT / "checkpoints").glob("*/cifar10.json"))


def table() -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index("<!-- checkpoints") : text.index("<!-- end -->")].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:]]
    return {row[0]: row[1:] for row in rows}


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
    return [images, clean, robust, best, last]


def test_every_checkpoint_has_its_line_and_no_other():
    """The table names exactly the CIFAR-10 checkpoints that ship."""
    assert sorted(table()) == [manifest.parent.name for manifest in MANIFESTS]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_numbers_are_the_manifests(manifest):
    """Images and accuracies of a line are what training wrote."""
    assert table()[manifest.parent.name] == expected(manifest)
