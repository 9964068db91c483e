"""The numbers of docs/findings.md are those of the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.packing import unpack_verdicts
from bench.ops.accuracy import wilson

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "findings.md"
ROWS = ROOT / "leaderboard" / "adaptive-v1" / "cifar10" / "Linf-8_255"
STANDARD = ("fgsm", "pgd-20", "pgd-100", "cw", "autoattack")


def table(name: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index(f"<!-- {name}") :].split("<!-- end -->")[0].splitlines()[3:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def result(model: str) -> dict[str, Any]:
    return json.loads((ROWS / f"{model}.json").read_text(encoding="utf-8"))["result"]


def interval(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def robust_after(found: dict[str, Any], attacks: tuple[str, ...]) -> int:
    """Examples that each of these attacks left robust."""
    verdicts = [
        unpack_verdicts(attack["robust"], found["n_examples"])
        for attack in found["attacks"]
        if attack["name"] in attacks
    ]
    return sum(all(each) for each in zip(*verdicts, strict=True))


def line(model: str) -> list[str]:
    found = result(model)
    standard = str(robust_after(found, STANDARD))
    return [
        model,
        str(found["n_clean"]),
        standard,
        str(found["n_robust"]),
        interval(found["n_robust"], found["n_examples"]),
    ]


def reported(model: str, name: str) -> list[str]:
    found = result(model)
    (each,) = [each for each in found["reported"] if each["name"] == name]
    return [str(each["n_robust"]), interval(each["n_robust"], found["n_examples"])]


def adaptive(model: str) -> list[str]:
    found = result(model)
    return [str(found["n_robust"]), interval(found["n_robust"], found["n_examples"])]


def test_every_row_is_in_the_table():
    """The first table has one line for each row of CIFAR-10, and its numbers are the row's."""
    models = {path.stem for path in ROWS.glob("*.json")}
    assert {cells[0] for cells in table("robust")} == models
    for cells in table("robust"):
        assert cells == line(cells[0])


@pytest.mark.parametrize(("position", "name"), list(enumerate(("naive-pgd-20", "naive-apgd", "naive-apgd-raw"))))
def test_naive_numbers_are_the_rows(position, name):
    """What naive evaluations of DUCAT give is what its row reports."""
    assert table("naive")[position][1:] == reported("ducat", name)


def test_adaptive_number_of_ducat_is_the_rows():
    """The last line of DUCAT's table is its robust accuracy."""
    assert table("naive")[-1][1:] == adaptive("ducat")


@pytest.mark.parametrize(("position", "name"), list(enumerate(("static-clean", "static-adversarial"))))
def test_numbers_of_the_static_parts_are_the_rows(position, name):
    """The static sub-networks of AW-Net have the robust accuracy that its row reports."""
    assert table("router")[position][1:] == reported("aw-net", name)


def test_adaptive_number_of_aw_net_is_the_rows():
    """The last line of AW-Net's table is its robust accuracy."""
    assert table("router")[-1][1:] == adaptive("aw-net")
