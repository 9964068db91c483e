"""The guides, followed literally: their files in their places, in a copy of the package, called by a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench

ROOT = Path(__file__).resolve().parent.parent
FILE = re.compile(r"^<!-- file: (bench/\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = {path: code for page in sorted((ROOT / "docs").glob("*.md")) for path, code in FILE.findall(page.read_text())}
NET = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with an attack, a suite, an analysis, two recipes and a model added as the guides say."""
    root = tmp_path_factory.mktemp("copy")
    package = Path(bench.__file__).parent
    shutil.copytree(package, root / "bench", ignore=shutil.ignore_patterns("__pycache__", "_checkpoints"))
    shutil.copy(ROOT / "ruff.toml", root)
    for path, code in FILES.items():
        assert not (root / path).exists(), path
        (root / path).write_text(code)
    shutil.copytree(ROOT / "checkpoints" / "pgd-at", root / "checkpoints" / "pgd-at")
    (root / "net.py").write_text(NET)
    return root


def call(root: Path, *words: str) -> str:
    """What `bench` prints when the copy is called in its folder."""
    code = "from bench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(copy: Path) -> Path:
    """The copy, with the weights of its new model, as its own recipe trains them."""
    command = re.search(r"bench (train --recipe my-net .*)", (ROOT / "docs" / "adding-a-model.md").read_text())
    assert command is not None
    call(copy, *command[1].split(), "--epochs", "1", "--test-samples", "16", "--device", "cpu", "--quiet")
    return copy


def test_the_files_of_the_guides_pass_the_lint_of_the_repository(copy: Path) -> None:
    """As they stand: each has its docstrings, no import that it does not use, and the format."""
    assert len(FILES) >= 6
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--no-cache", *FILES]
        done = subprocess.run(ruff, cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_recipe_of_the_models_guide_makes_the_models_checkpoint(trained: Path) -> None:
    """What `bench train` wrote is where the model looks for it, and says so."""
    manifest = json.loads((trained / "checkpoints" / "my-net" / "digits.json").read_text())
    assert (manifest["model"], manifest["recipe"]) == ("my-net", "my-net")


def test_a_model_and_a_suite_that_were_added_make_a_row(trained: Path) -> None:
    """The zoo's new model under the new suite."""
    words = ["run", "--model", "my-net", "--dataset", "digits", "--suite", "demo-v1", "--samples", "16"]
    row = json.loads(call(trained, *words, "--device", "cpu", "--json", "--quiet"))["row"]
    assert row["card"]["title"] == "My-Net"
    assert [attack["name"] for attack in row["result"]["attacks"]] == ["fgsm", "pgd-20"]


def test_an_attack_that_was_added_can_stand_in_a_suite(copy: Path) -> None:
    """It needs no more than its name there."""
    suite = FILES["bench/suites/demo_v1.py"].replace('name="demo"', 'name="noisy"').replace("FGSM(), ", "Noise(), ")
    imports = "from bench.attacks import PGD\nfrom bench.attacks.noise import Noise"
    text = suite.replace("from bench.attacks import FGSM, PGD", imports)
    assert imports in text
    (copy / "bench" / "suites" / "noisy_v1.py").write_text(text)
    words = ["run", "--model", "net.py:make", "--dataset", "digits", "--suite", "noisy-v1", "--samples", "16"]
    row = json.loads(call(copy, *words, "--device", "cpu", "--json", "--quiet"))["row"]
    assert row["result"]["attacks"][0]["name"] == "noise"


def test_data_of_ones_own_is_an_npz_file(copy: Path) -> None:
    """With the arrays that the guide names."""
    guide = (ROOT / "docs" / "adding-a-dataset.md").read_text()
    assert "`--dataset file.npz` holds `inputs` `(N, C, H, W)`" in guide and "`labels` `(N,)`" in guide
    generator = np.random.default_rng(0)
    np.savez(copy / "file.npz", inputs=generator.random((16, 1, 8, 8), np.float32), labels=np.arange(16) % 10)
    words = ["run", "--model", "net.py:make", "--dataset", "file.npz", "--suite", "demo-v1"]
    out = call(copy, *words, "--threat-model", "Linf:1/10", "--device", "cpu", "--json", "--quiet")
    assert json.loads(out)["row"]["result"]["n_examples"] == 16


def test_an_analysis_that_was_added_measures(copy: Path) -> None:
    """Numbers, a claim, a figure in both forms, and its place in the listing."""
    words = ["analyze", "confidence", "--model", "pgd-at", "--model", "net.py:make", "--dataset", "digits"]
    found = json.loads(call(copy, *words, "--samples", "16", "--device", "cpu", "--json", "--quiet"))
    assert [claim["verdict"] for claim in found["report"]["claims"]] == ["does not hold", "holds"]
    assert found["report"]["parameters"] == {"enough": 0.9}
    assert {Path(path).suffix for path in found["figures"]} == {".png", ".svg", ".pdf"}
    assert all((copy / path).stat().st_size > 1_000 for path in found["figures"])
    assert "confidence" in call(copy, "list", "analyses")
