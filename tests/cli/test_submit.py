"""`bench submit`: everything that a pull request needs, and nothing half done."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from bench.core.errors import BenchError


@pytest.fixture
def submit(bench, here):
    """Submit the small model on a few digits; later words override earlier ones."""
    torch.manual_seed(0)
    torch.save({"1.weight": torch.randn(10, 64), "1.bias": torch.zeros(10)}, here / "net.pth")
    usual = {
        "--model": "nets.py:good",
        "--weights": "net.pth",
        "--name": "my-net",
        "--reference": "https://example.org/net",
        "--dataset": "digits",
        "--suite": "quick-v1",
        "--samples": "20",
        "--device": "cpu",
        "--doctor-seconds": "10",
        "--journal": "journal",
    }

    def call(*flags, quiet=True, **change):
        words = {**usual, **{f"--{name.replace('_', '-')}": value for name, value in change.items()}}
        given = (part for name, value in words.items() if value is not None for part in (name, value))
        return bench("submit", *(["--quiet"] if quiet else []), *flags, *given)

    return call


def test_a_submission_is_a_board_that_passes_its_check(submit, bench, here):
    """Row under the public name with card, evidence and the whole of the diagnostics; manifest; pages; check passes."""
    done = submit("--json", extra_data="no")
    assert done.code == 0, done.err
    value = json.loads(done.out)
    row = json.loads((here / "leaderboard/quick-v1/digits/Linf-1_10/my-net.json").read_text())
    assert row["model"] == "my-net" and row["result"]["n_examples"] == 20
    assert row["card"]["reference"] == "https://example.org/net" and row["card"]["n_parameters"] == 650
    assert len(row["result"]["diagnostics"]) >= 15
    manifest = json.loads((here / "leaderboard/submissions/my-net.json").read_text())
    assert manifest["weights_sha256"] == hashlib.sha256((here / "net.pth").read_bytes()).hexdigest()
    assert manifest["rows"] == ["quick-v1/digits/Linf-1_10/my-net.json"]
    assert "<h1>my-net" in (here / "leaderboard/submissions/my-net.html").read_text()
    assert all((here / path).is_file() for path in value["files"])
    assert any(path.endswith(".npz") for path in value["files"])
    written = {str(path.relative_to(here)) for path in (here / "leaderboard").rglob("*") if path.is_file()}
    assert {path for path in written if "/." not in path} == set(value["files"])
    assert bench("check", "--quiet").code == 0
    again = submit(extra_data="ImageNet")
    assert again.code == 0, again.err
    assert set(json.loads(submit("--json", extra_data="ImageNet").out)["files"]) == set(value["files"])
    torch.save({"1.weight": torch.ones(10, 64), "1.bias": torch.zeros(10)}, here / "net.pth")
    other = submit(journal="another")
    assert other.code == 2 and "is there and differs" in other.message and "--force" in other.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "pgd-at"}, "Choose another --name"),
        ({"name": "../up"}, "without '..'"),
        ({"reference": " "}, "--reference"),
        ({"model": "nets.py:absent"}, "absent"),
        ({"weights": "absent.pth"}, "absent.pth"),
        ({"suite": "standrad-v1"}, "standard-v1"),
    ],
)
def test_a_mistake_writes_nothing(submit, here, change, says):
    """One line, exit 2, no board."""
    done = submit(**change)
    assert done.code == 2 and says in done.message
    assert not (here / "leaderboard").exists() or not list((here / "leaderboard").rglob("*.json"))


def test_what_fails_after_the_attacks_leaves_the_row_of_a_submission(submit, here, monkeypatch):
    """The doctor, the pages and the manifest: each is named in one line, and the same command does the rest."""

    def boom(*_args, **_options):
        raise OverflowError("int too large")

    with monkeypatch.context() as patch:
        for place in ("doctor", "publish", "_write_manifest", "_write_report"):
            patch.setattr(f"bench.jobs.submit.{place}", boom)
        failed = submit("--json")
    assert failed.code == 3 and "pages, manifest, report (OverflowError: int too large)" in failed.message
    value = json.loads(failed.out)
    assert {"pages", "manifest", "R1", "R20"} <= value["not_run"].keys()
    assert [path.rpartition(".")[2] for path in value["files"]] == ["json", "npz", "json"]
    whole = submit("--json")
    assert whole.code == 0, whole.err
    assert json.loads(whole.out)["not_run"] == {} and (here / "leaderboard/index.html").is_file()
    row = json.loads((here / "leaderboard/quick-v1/digits/Linf-1_10/my-net.json").read_text())
    assert "not run" not in {check["status"] for check in row["result"]["diagnostics"]}


SUITE = """
from bench.attacks import FGSM
from bench.suites import AttackSuite

ENTRY = AttackSuite(name="mine", version=1, attacks=(FGSM(),))
"""


def test_a_suite_of_ones_own_can_be_submitted(submit, here, bench):
    """To a board of one's own, which then knows what it is."""
    (here / "suite.py").write_text(SUITE)
    done = submit(suite="suite.py:ENTRY")
    assert done.code == 0, done.err
    assert list((here / "leaderboard").rglob("my-net.json"))


@pytest.mark.parametrize(("suite", "count"), [("swift-v1", 360), ("quick-v1", 100)])
def test_by_default_as_many_examples_as_a_rank_needs(submit, here, monkeypatch, suite, count):
    """Of a suite that ranks on whole splits all; of one's own data with fewer examples than a rank takes, too."""
    asked = []

    def run(request, **options):
        asked.append(request.samples)
        raise BenchError("stop here")

    monkeypatch.setattr("bench.jobs.submit.run", run)
    monkeypatch.setattr("bench.row.splits.RANKED_EXAMPLES", 100)
    assert "stop here" in submit(suite=suite, samples=None).message
    np.savez(here / "own.npz", inputs=np.zeros((30, 1, 8, 8), np.uint8), labels=np.arange(30) % 10)
    assert "stop here" in submit(suite=suite, samples=None, dataset="own.npz", threat_model="Linf:1/10").message
    assert asked == [count, 30]


def test_a_row_that_is_there_is_told_before_the_run(submit, monkeypatch):
    """Hours may lie between, and another result is refused."""
    assert submit().code == 0

    def run(request, **options):
        raise BenchError("stop here")

    monkeypatch.setattr("bench.jobs.submit.run", run)
    assert "my-net.json is there" in submit(quiet=False).err
    assert "is there" not in submit("--force", quiet=False).err
