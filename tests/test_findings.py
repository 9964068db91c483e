"""The numbers of docs/findings.md are those of the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import leaderboard
from bench.core.statistics import wilson
from bench.row.packing import unpack_verdicts

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "findings.md"
STRONGEST = ROOT / "leaderboard" / "adaptive-v2" / "cifar10" / "Linf-8_255"
WHOLE = ROOT / "leaderboard" / "swift-v1" / "cifar10" / "Linf-8_255"
STANDARD = ("fgsm", "pgd-20", "pgd-100", "cw", "autoattack")


def table(name: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index(f"<!-- {name}") :].split("<!-- end -->")[0].splitlines()[3:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def result(model: str) -> dict[str, Any]:
    """What `adaptive-v2` found."""
    return json.loads((STRONGEST / f"{model}.json").read_text(encoding="utf-8"))["result"]


def on_all(model: str) -> dict[str, Any]:
    """What `swift-v1` found on all test images."""
    return json.loads((WHOLE / f"{model}.json").read_text(encoding="utf-8"))["result"]


def interval(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def robust_after(found: dict[str, Any], attacks: tuple[str, ...]) -> int:
    """How many examples each of these attacks left robust."""
    verdicts = [
        unpack_verdicts(attack["robust"], found["n_examples"])
        for attack in found["attacks"]
        if attack["name"] in attacks
    ]
    return sum(all(each) for each in zip(*verdicts, strict=True))


def share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f}"


def line(model: str) -> list[str]:
    found = result(model)
    n, standard = found["n_examples"], robust_after(found, STANDARD)
    return [model, f"{n:,}", share(found["n_clean"], n), share(standard, n), *adaptive(model)]


def reported(model: str, name: str) -> list[str]:
    found = result(model)
    (each,) = [each for each in found["reported"] if each["name"] == name]
    return [share(each["n_robust"], found["n_examples"]), interval(each["n_robust"], found["n_examples"])]


def adaptive(model: str) -> list[str]:
    """What all attacks of the suite left."""
    found = result(model)
    n_robust = robust_after(found, tuple(attack["name"] for attack in found["attacks"]))
    return [share(n_robust, found["n_examples"]), interval(n_robust, found["n_examples"])]


def first_thousand(attack: str, stage: str = "", model: str = "aw-net") -> str:
    """What an attack, or the stages of one up to that, left of a model on the first 1,000 images."""
    found = result(model)
    (chosen,) = (each for each in found["attacks"] if each["name"] == attack)
    counts = {each["name"]: each["n_robust"] for each in chosen.get("stages", ())}
    return share(counts[stage] if stage else chosen["n_robust"], found["n_examples"])


def stage_left(name: str, model: str = "aw-net") -> list[str]:
    """What an attack of `swift-v1`, or the stages of one up to that, left of a model."""
    found = on_all(model)
    counts = {"clean": found["n_clean"], **{attack["name"]: attack["n_robust"] for attack in found["attacks"]}}
    counts |= {stage["name"]: stage["n_robust"] for attack in found["attacks"] for stage in attack.get("stages", ())}
    return [share(counts[name], found["n_examples"]), interval(counts[name], found["n_examples"])]


ALONE = (
    ("pgd-100", ""),
    ("cw", ""),
    ("constraint-relaxation", ""),
    ("autoattack", "apgd-ce"),
    ("autoattack", "apgd-t"),
    ("autoattack", ""),
    ("relaxed-steering", ""),
    ("adaptive-routes", ""),
)
FIRST = ("clean", "fgsm", "pgd-20", "constraint-relaxation", "relaxed-steering", "apgd-t", "end-to-end-1000")


@pytest.mark.parametrize(("position", "name"), list(enumerate(FIRST)))
def test_what_attacks_leave_of_aw_net_is_its_rows(position, name):
    """Attack after attack, on all test images."""
    assert table("first")[position][1:] == stage_left(name)


@pytest.mark.parametrize(("position", "name"), list(enumerate(FIRST)))
def test_what_attacks_leave_of_its_twin_is_its_row(position, name):
    """Attack after attack, on the first 1,000 images."""
    assert table("end to end")[position][1:] == stage_left(name, "aw-net-e2e")


@pytest.mark.parametrize(("position", "names"), list(enumerate(ALONE)))
def test_what_each_attack_leaves_of_aw_net_is_its_rows(position, names):
    """Each by itself, on the first 1,000 images."""
    assert table("alone")[position][1:] == [first_thousand(*names)]


def test_every_row_is_in_the_table():
    """The first table has one line for each row of CIFAR-10, and its numbers are the row's."""
    models = {path.stem for path in STRONGEST.glob("*.json")}
    assert {cells[0] for cells in table("robust")} == models
    for cells in table("robust"):
        assert cells == line(cells[0])


@pytest.mark.parametrize(("position", "name"), list(enumerate(("naive-pgd-20", "naive-apgd", "naive-apgd-raw"))))
def test_naive_numbers_are_the_rows(position, name):
    """What naive evaluations of models with dummy classes give is what their rows report."""
    assert table("naive")[position][1:] == [*reported("ducat", name), *reported("trades-ducat", name)]


def test_adaptive_numbers_of_dummy_classes_are_the_rows():
    """The last line of that table is their robust accuracy."""
    assert table("naive")[-1][1:] == [*adaptive("ducat"), *adaptive("trades-ducat")]


ON_PAIRS = (
    ("autoattack", ""),
    ("constraint-relaxation", ""),
    *(("adaptive-pairs", stage) for stage in ("merged", "merged-margin", "joint", "joint-t", "joint-1000")),
    ("relaxed-pairs", ""),
)


@pytest.mark.parametrize(("position", "names"), list(enumerate(ON_PAIRS)))
def test_what_each_attack_leaves_of_dummy_classes_is_their_rows(position, names):
    """Each by itself, and of `adaptive-pairs` all stages up to one."""
    assert table("pairs")[position][1:] == [first_thousand(*names, model=name) for name in ("ducat", "trades-ducat")]


@pytest.mark.parametrize(("position", "name"), list(enumerate(("static-clean", "static-adversarial"))))
def test_numbers_of_the_static_parts_are_the_rows(position, name):
    """The static sub-networks of AW-Net have the robust accuracy that its row reports."""
    assert table("router")[position][1:] == reported("aw-net", name)


def test_adaptive_number_of_aw_net_is_the_rows():
    """The last line of AW-Net's table is its robust accuracy."""
    assert table("router")[-1][1:] == adaptive("aw-net")


PAIRS = {
    "awp": ("pgd-at", "at-awp"),
    "trades-awp": ("trades", "trades-awp"),
    "mart": ("pgd-at", "mart"),
    "single step": ("pgd-at", "fgsm-rs"),
    "width": ("wrn", "robust-wrn"),
}


def test_what_pgd_leaves_of_mart_is_its_row():
    """Beside the model that it is compared with."""
    (mart, _), (pgd_at, _) = stage_left("pgd-20", "mart"), stage_left("pgd-20", "pgd-at")
    assert f"leaves it {mart} % of these images, and `pgd-at` {pgd_at}." in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "pair"), PAIRS.items())
def test_a_model_beside_another_is_the_rows(name, pair):
    """Of `swift-v1`: both numbers, and the images that one alone withstands."""
    rows = {model: leaderboard.read(WHOLE / f"{model}.json") for model in pair}
    robust = {model: {n for n, held in enumerate(row.verdicts()) if held} for model, row in rows.items()}
    for (model, *cells), other in zip(table(name), reversed(pair), strict=True):
        result, (low, high) = rows[model].result, rows[model].robust_interval
        assert cells == [
            share(result.n_clean, result.n_examples),
            share(len(robust[model]), result.n_examples),
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{len(robust[model] - robust[other])} images",
        ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "leaderboard").glob("*/*/*/*.json")), ids=lambda path: f"{path.parts[-4]}-{path.stem}"
)
def test_no_row_names_a_folder_of_a_machine(path):
    """Anyone can repeat its command from a folder of their own."""
    words = json.loads(path.read_text(encoding="utf-8"))["provenance"]["command"].split()
    assert not [word for word in words if word.startswith(("/", "~"))]
