"""The GitHub Action, its shell steps run as GitHub's runner would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import bench
from bench.jobs.run import RunRequest, run
from bench.leaderboard.pages import publish

ROOT = Path(__file__).resolve().parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORDS = re.compile(r"\$\{\{ (?:inputs\.)?(\S+) \}\}")
NET = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="its steps are bash")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the row of a model, its pages, and another model."""
    root = tmp_path_factory.mktemp("checkout")
    shim = root / "bin" / "bench"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m bench "$@"\n')
    shim.chmod(0o755)
    (root / "net.py").write_text(NET)
    board = root / "leaderboard"
    run(RunRequest(model="pgd-at", dataset="digits", suite="quick-v1", samples=16, leaderboard=board))
    publish(board)
    return root


def step(checkout: Path, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the action with these inputs, the others as they are by default."""
    (found,) = (each for each in ACTION["runs"]["steps"] if each["name"] == name)
    values = {each: about["default"] for each, about in ACTION["inputs"].items()} | inputs
    given = {key: WORDS.sub(lambda word: values[word[1]], value) for key, value in found["env"].items()}
    runner = {
        "GITHUB_OUTPUT": str(checkout / "output"),
        "GITHUB_STEP_SUMMARY": str(checkout / "summary.md"),
        "RUNNER_TEMP": str(checkout),
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(bench.__file__).parent.parent),
    }
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]]
    environment = {**os.environ, **runner, **given}
    return subprocess.run(bash, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_every_word_of_the_action_is_one_of_its_inputs_or_steps():
    """A misspelt input would be empty, without a word from GitHub."""
    known = {*ACTION["inputs"], "steps.check.outputs.report"}
    assert set(WORDS.findall((ROOT / "action.yml").read_text())) == known
    assert all(each.get("shell") == "bash" for each in ACTION["runs"]["steps"] if "run" in each)


def test_the_same_weights_pass_and_leave_a_report(checkout):
    """The row's own model, attacked again: nothing is found, and both floors are met."""
    done = step(checkout, "Check", probe="8", dataset="digits", **{"min-robust": "0.3", "min-clean": "0.5"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (checkout / "output").read_text().strip() == f"report={checkout / 'bench.xml'}"
    suites = list(ElementTree.parse(checkout / "bench.xml").iter("testsuite"))
    assert suites and all(suite.get("failures") == "0" for suite in suites)


def test_a_worse_model_is_annotated_and_fails(checkout):
    """Exit code 1, and an error that GitHub shows beside the row."""
    done = step(checkout, "Check", probe="16", model="net.py:make", row="pgd-at")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error " in done.stdout


def test_the_board_is_the_summary_of_the_job(checkout):
    """Where there is one; a folder without pages is no error."""
    assert step(checkout, "Summary", leaderboard="nowhere").returncode == 0
    assert step(checkout, "Summary").returncode == 0
    assert "PGD-AT" in (checkout / "summary.md").read_text()
