"""What the code computes is what it computed: verdicts, best margins and passes of every attack and suite.

Where the machine rounds as the one that made the file, all must be equal. Elsewhere attacks amplify what rounding does,
and what must hold on every machine is compared: see `agrees`.
"""

from __future__ import annotations

import copy
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import attacks, suites

make = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("make.py"))))
VALUES: dict[str, dict[str, Any]] = json.loads(make.VALUES.read_text())

CLOSE = 1e-6
ROUNDING = 1e-5
"""Of the largest clean margin. Kernels for other instruction sets moved none by more than 6e-7."""
FLIPS = 1
"""How far the count of a stage may be off. Kernels for other instruction sets turned no verdict; an example may stand
on the edge of what an attack reaches, and batches of other sizes turn one of them (`test_shipped_models.py`)."""


def equals(found: dict[str, Any], frozen: dict[str, Any]) -> None:
    """Every number is the frozen one; margins to 1e-6."""
    assert found["probe"] == frozen["probe"], "the model's logits or gradients are others, on a machine that is not"
    assert found["suites"].keys() == frozen["suites"].keys()
    for label, suite in frozen["suites"].items():
        assert margins_apart(found["suites"][label], suite) == {}, f"best margins of {label}"
        assert without_margins(found["suites"][label]) == without_margins(suite), label


def agrees(found: dict[str, Any], frozen: dict[str, Any]) -> None:
    """What must hold on every machine: clean verdicts and margins, which stages ran, and about how many withstood."""
    assert found["suites"].keys() == frozen["suites"].keys()
    for label, suite in frozen["suites"].items():
        here = found["suites"][label]
        assert here["clean"] == suite["clean"], f"clean verdicts of {label}"
        clean = make.unpack_floats(suite["clean_margin"])
        np.testing.assert_allclose(
            make.unpack_floats(here["clean_margin"]), clean, rtol=0, atol=ROUNDING * np.abs(clean).max()
        )
        counts, expected = robust_counts(here), robust_counts(suite)
        assert counts.keys() == expected.keys()
        far = {stage: (counts[stage], count) for stage, count in expected.items() if abs(counts[stage] - count) > FLIPS}
        assert far == {}, f"robust to the stages of {label}, here and in the file"


def robust_counts(suite: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {
        (name, stage): numbers["robust"].count("1")
        for name, attack in suite["attacks"].items()
        for stage, numbers in attack["stages"].items()
    }


def margins_apart(found: dict[str, Any], frozen: dict[str, Any]) -> dict[str, float]:
    """By attack, how far the margins lie apart where that is more than 1e-6."""
    pairs = {"clean": (found["clean_margin"], frozen["clean_margin"])}
    pairs |= {name: (found["attacks"][name]["margin"], attack["margin"]) for name, attack in frozen["attacks"].items()}
    unpacked = {name: tuple(map(make.unpack_floats, pair)) for name, pair in pairs.items()}
    return {
        name: float(np.abs(here - there).max())
        for name, (here, there) in unpacked.items()
        if not np.allclose(here, there, rtol=0, atol=CLOSE)
    }


def without_margins(suite: dict[str, Any]) -> dict[str, Any]:
    bare = {name: attack["stages"] for name, attack in suite["attacks"].items()}
    return {**suite, "clean_margin": None, "attacks": bare}


def rounds_alike(found: dict[str, Any], frozen: dict[str, Any]) -> bool:
    """Whether numbers must be equal: on the machine of the file whatever was computed, elsewhere where the probe is."""
    return found["machine"] == frozen["machine"] or found["probe"] == frozen["probe"]


def say_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: this machine rounds otherwise; compared is what holds on all.\n")


def check_weights(name: str, frozen: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["weights"] == frozen["weights"], (
        f"values.json was made for other weights of {name}: remake it with tests/frozen/make.py"
    )


@pytest.mark.parametrize("name", make.CASES)
def test_numbers_are_those_of_the_file(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdicts, margins and passes are the frozen ones; where the machine rounds otherwise, what rounding leaves."""
    case = make.CASES[name]
    if case.dataset == "cifar10":
        request.getfixturevalue("cifar10_dir")
    found, frozen = make.compute(case), VALUES[name]
    check_weights(f"{case.model} on {case.dataset}", frozen, found)
    if rounds_alike(found, frozen):
        equals(found, frozen)
    else:
        say_so(name, capsys)
        agrees(found, frozen)


def test_the_doctor_says_what_the_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Every check has its level and its statistic; where the machine rounds otherwise, its level."""
    found, frozen = make.examined(), VALUES["doctor"]
    check_weights(f"{make.EXAMINED.model} on {make.EXAMINED.dataset}", frozen, found)
    if rounds_alike(found, frozen):
        assert found["levels"] == frozen["levels"]
    else:
        say_so("doctor", capsys)
        assert {id_: level for id_, (level, *_) in found["levels"].items()} == {
            id_: level for id_, (level, *_) in frozen["levels"].items()
        }


def test_the_file_covers_every_attack_and_suite() -> None:
    """A new attack, suite or engine's stage needs a case: the file is remade with it."""
    ran = [suite for values in VALUES.values() for suite in values.get("suites", {}).items()]
    assert set(suites.names()) <= {label for label, _ in ran}
    assert set(attacks.names()) <= {name for _, suite in ran for name in suite["attacks"]}
    assert VALUES.keys() == {*make.CASES, "doctor"}


@pytest.mark.parametrize("change", ["clean", "margin", "counts", "stages"])
def test_a_machine_that_rounds_otherwise_still_sees_a_change(change: str) -> None:
    """Without equal bits too, other clean verdicts or margins, counts or stages fail."""
    frozen = VALUES["suites, short"]
    found = copy.deepcopy(frozen)
    agrees(found, frozen)
    suite = found["suites"]["standard-v1"]
    stages = suite["attacks"]["autoattack"]["stages"]
    if change == "clean":
        suite["clean"] = "0" + suite["clean"][1:]
    elif change == "margin":
        suite["clean_margin"] = make.pack_floats(1.001 * make.unpack_floats(suite["clean_margin"]))
    elif change == "counts":
        stages["apgd-ce"]["robust"] = stages["apgd-ce"]["robust"].replace("1", "0", FLIPS + 1)
    else:
        del stages["square"]
    with pytest.raises(AssertionError):
        agrees(found, frozen)
