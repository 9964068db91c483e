from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--samples", "16", "--device", "cpu")


def test_an_honest_model_is_fine(bench):
    """Exit code 0, every check in the table, progress on stderr alone."""
    result = bench("doctor", "--model", "pgd-at", "--dataset", "digits", *QUICK, "--checks", "R7,R3,R19")
    assert result.code == 0, result.err
    assert [line.split()[:2] for line in result.out.splitlines() if line.startswith("R")] == [
        ["R3", "pass"],
        ["R7", "pass"],
        ["R19", "pass"],
    ]
    assert "None failed, 3 passed." in result.out
    assert "R7: pass" in result.err and "R7: pass" not in result.out


def test_a_finding_is_exit_code_1(bench):
    """With what was seen and what to run next."""
    result = bench("doctor", "--model", "nets.py:probabilities", "--dataset", "digits", *QUICK, "--checks", "R5,R7")
    assert result.code == 1
    assert "R5 fail: The outputs are probabilities" in result.out
    assert "Next: Let the model return its logits" in result.out
    assert "upper bound only" in result.out


def test_json_alone_is_on_stdout(bench):
    """Status and checks, each with its numbers, though the model talks."""
    result = bench("doctor", "--model", "nets.py:talkative", "--dataset", "digits", *QUICK, "--checks", "R3", "--json")
    value = json.loads(result.out)
    assert value["status"] == "pass" and value["threat_model"] == "Linf:1/10" and value["indices"] == "0:16"
    (check,) = value["checks"]
    assert set(check) == {"id", "status", "statistic", "threshold", "evidence", "next"}
    assert (check["id"], check["statistic"]) == ("R3", 0.0)


def test_quiet_says_nothing_else(bench):
    """Neither progress nor remarks."""
    result = bench("doctor", "--model", "pgd-at", "--dataset", "digits", *QUICK, "--checks", "R5", "--quiet")
    assert result.err == ""


def test_an_unknown_check_is_the_users_mistake(bench):
    """Exit code 2, in one line with the known ones."""
    result = bench("doctor", "--model", "pgd-at", "--dataset", "digits", "--checks", "R99")
    assert result.code == 2
    assert "Unknown check 'R99'" in result.message


def test_a_model_that_cannot_be_loaded_is_refused(bench):
    """Exit code 2."""
    assert bench("doctor", "--model", "nets.py:raises", "--dataset", "digits", "--checks", "R5").code == 2


def test_checks_are_listed(bench):
    """All of them, and which of them are in every run."""
    entries = json.loads(bench("list", "checks", "--json").out)
    assert len(entries) == 21
    row = json.loads((ROOT / "leaderboard/swift-v1/cifar10/Linf-8_255/pgd-at.json").read_text())
    stored = [each["id"] for each in row["result"]["diagnostics"]]
    assert [entry["name"] for entry in entries if entry["in every run"]] == stored
