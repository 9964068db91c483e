"""The scripts in `benchmarks/` run as their texts say, on digits and with budgets that take no time."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
ROWS = FOLDER.parent / "leaderboard"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
SUBJECT = ("--model", "pgd-at", "--dataset", "digits")
SHORT = ("--steps", "2", "--queries", "3")
STAGES = ("apgd-ce", "apgd-t", "fab-t", "square")

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a script with the words of a command line, and return what it prints."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(FOLDER)

    def run(script: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [script, *words])
        runpy.run_path(str(FOLDER / script), run_name="__main__")
        return capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)


def test_the_floor_counts_operations_and_passes(run: Run) -> None:
    """A gradient is twice the operations of a pass forwards; nothing is quicker than the highest rate."""
    found: dict[str, list[dict[str, Any]]] = json.loads(
        run("floor.py", *SUBJECT, *SHORT, "--samples", "8", "--repeats", "2", "--json")
    )
    by_form: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found["passes"]:
        by_form.setdefault(row["form"], {})[row["pass"]] = row
        assert row["floor, ms"] <= 1.05 * row["convolutions alone, ms"], "the linear layers are not among these"
        assert row["times the floor"] == pytest.approx(row["ms"] / row["floor, ms"])
    assert {"as handed in", "float32"} <= set(by_form)
    for forward, gradient in (tuple(rows.values()) for rows in by_form.values()):
        assert gradient["million operations"] == pytest.approx(2 * forward["million operations"])
    clean, stages = 4, {"apgd-ce": 3, "apgd-t": 9 * 3, "fab-t": 9 * 5, "square": 4}
    gradients = 2 + 9 * 2 + 9 * 2
    for cost in found["survivor"]:
        assert cost["gradients"] == gradients
        assert cost["forwards alone"] == clean + sum(stages.values()) - gradients
        rows = by_form[cost["form"]]
        ms = cost["forwards alone"] * rows["forward"]["ms"] + gradients * rows["gradient"]["ms"]
        assert cost["in passes"] == pytest.approx(ms / 1e3)
    for cost in found["relaxation"]:
        assert 8 * cost["forwards alone"] >= 1 and 20 < cost["gradients"] < 400
        rows = by_form[cost["form"]]
        ms = cost["forwards alone"] * rows["forward"]["ms"] + cost["gradients"] * rows["gradient"]["ms"]
        assert cost["in passes"] == pytest.approx(ms / 1e3)


@pytest.mark.parametrize("mistake", [("--samples", "0"), ("--repeats", "-1"), ("--steps", "x"), ("--model", "pgd-ta")])
def test_a_mistake_is_one_line(run: Run, capsys: pytest.CaptureFixture[str], mistake: tuple[str, str]) -> None:
    """It names what was wrong, below the usage where an option is malformed."""
    assert mistake[1] in refusal(run, capsys, "floor.py", *SUBJECT, *mistake)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_answers_a_misspelt_name_with_a_traceback(
    script: str, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of a model, or where a script takes none, of a device."""
    text = (FOLDER / script).read_text(encoding="utf-8")
    takes_model = "parser_of(" in text or '"--model"' in text
    words = ("--model", "pgd-ta", "--dataset", "digits") if takes_model else ("--device", "gpu-ta")
    words = (*words, "--journal", str(tmp_path)) if '"--journal"' in text else words
    assert words[1] in refusal(run, capsys, script, *words)


def refusal(run: Run, capsys: pytest.CaptureFixture[str], script: str, *words: str) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as caught:
        run(script, *words)
    said = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err.splitlines()[-1]
    assert "\n" not in said
    return said


def test_our_autoattack_beside_the_package(run: Run) -> None:
    """Both engines, stage by stage, and the verdicts that differ."""
    found = json.loads(run("autoattack.py", *SUBJECT, *SHORT, "--samples", "8", "--json"))
    assert found["clean"] == 8 and set(found["engines"]) == {"pyautoattack", "fast"}
    for engine in found["engines"].values():
        left = [engine["n_robust"][stage] for stage in STAGES]
        assert left[0] <= 8 and left == sorted(left, reverse=True)
        assert all(engine["seconds"][stage] > 0 and engine["forwards"][stage] > left[-1] for stage in STAGES)
        assert engine["backwards"]["apgd-t"] > engine["backwards"]["square"] == 0
    broken = [8 - found["engines"][name]["n_robust"]["square"] for name in ("pyautoattack", "fast")]
    relaxed = found["relaxation"]
    differing = len(relaxed["only_relaxation_broke"]) - len(relaxed["only_reference_broke"])
    assert relaxed["n_robust"] == found["engines"]["pyautoattack"]["n_robust"]["square"] - differing
    assert 1 < relaxed["gradients_an_example"] < relaxed["forwards_an_example"]
    assert relaxed["times"] == pytest.approx(
        sum(found["engines"]["pyautoattack"]["seconds"].values()) / relaxed["seconds"]
    )
    alone = [len(found[name]) for name in ("only_reference_broke", "only_fast_broke")]
    assert broken[0] - broken[1] == alone[0] - alone[1]


def test_constraint_relaxation_beside_the_autoattack_of_rows(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdicts of both on the same examples, passes of each, and what a structure's attacks leave."""
    words = ("--model", "ducat", "--model", "pgd-at", "--leaderboard", str(ROWS))
    found = {each["model"]: each for each in json.loads(run("relaxation.py", *words, "--json"))}
    assert set(found) == {"ducat", "pgd-at"}
    for each in found.values():
        alone = [len(each[f"only_{name}_broke"]) for name in ("autoattack", "relaxation")]
        assert each["n_robust_relaxation"] - each["n_robust_autoattack"] == alone[0] - alone[1]
        assert 1 < each["relaxation_gradients"] < each["relaxation_forwards"] < each["autoattack_forwards"] / 10
    assert found["pgd-at"]["n_robust_with_structure"] is None
    assert found["ducat"]["n_robust_with_structure"] <= found["ducat"]["n_robust_relaxation"]
    assert "no row of marr in" in refusal(run, capsys, "relaxation.py", *words, "--model", "marr")


def test_constraint_relaxation_in_the_docs_is_that_of_the_rows(run: Run) -> None:
    """Every row of CIFAR-10 has its line in docs/performance.md, but for AW-Net's, which are in the findings."""
    found = json.loads(run("relaxation.py", "--leaderboard", str(ROWS), "--json"))
    text = (FOLDER.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    lines = text[text.index("<!-- relaxation") :].split("<!-- end -->")[0].splitlines()[3:]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    both = ("autoattack", "relaxation")
    assert told == [
        [
            each["model"],
            f"{each['n_examples']:,}",
            ", ".join(str(each[f"n_robust_{name}"]) for name in both),
            "; ".join(", ".join(map(str, each[f"only_{name}_broke"])) or "none" for name in both),
            *(f"{each[f'{name}_forwards']:,.1f}, {each[f'{name}_gradients']:,.1f}" for name in both),
            "" if each["n_robust_with_structure"] is None else str(each["n_robust_with_structure"]),
        ]
        for each in found
        if not each["model"].startswith("aw-net")
    ]


def test_seconds_grow_with_examples_and_batches(run: Run) -> None:
    """A row for each case, also where one kind of them is left out."""
    words = (*SUBJECT, *SHORT, "--samples", "8", "--sizes", "4", "--json")
    both = json.loads(run("growth.py", *words, "--counts", "4", "8"))
    assert [(row["n"], row["batch"]) for row in both] == [(4, 64), (8, 64), (8, 4)]
    assert both[1]["robust"] == both[2]["robust"] > 0
    assert [row["n"] for row in json.loads(run("growth.py", *words, "--counts"))] == [8]


def test_pgd_beside_foolbox(run: Run) -> None:
    """Who takes part, and how many of eight examples each leaves."""
    rows = table(run("pgd.py", *SUBJECT, "--samples", "8", "--rounds", "1"))
    assert {"bench", "foolbox"} <= set(rows)
    for _, seconds, ms, n_robust, _ in rows.values():
        assert float(ms) == pytest.approx(1e3 * float(seconds) / 8, abs=1) and 0 < int(n_robust) <= 8
    assert rows["bench"][4] == "1.00"


def test_our_own_share_of_an_attack(run: Run) -> None:
    """Every attack has a row, whose share is what the model did not take."""
    rows = table(run("overhead.py", *SUBJECT, "--samples", "8"))
    assert set(rows) == {"pgd-20", *STAGES, "constraint-relaxation"}
    for _, seconds, in_model, own in rows.values():
        assert 0 < float(in_model) <= float(seconds) and 0 < float(own) < 100


def test_robustness_learnt_by_heart(run: Run) -> None:
    """The gap is the difference of two accuracies, with an interval around it."""
    first, second = (
        table(part) for part in run("robust_gap.py", *SUBJECT, "--samples", "8").split("\n\n") if part.strip()
    )
    assert set(first) == {"pgd-at"} and first["pgd-at"][1:3] == ["test", "8"]
    _, gap, low, high = second["pgd-at"]
    assert float(low) < float(gap) < float(high)


def table(text: str) -> dict[str, list[str]]:
    """The rows below the rule of a table, by their first column; of equal ones the last."""
    lines = text.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("---"))
    rows = [line.split() for line in lines[rule + 1 :] if line.strip()]
    return {row[0]: row for row in rows}
