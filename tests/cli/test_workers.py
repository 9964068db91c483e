"""`bench run` with workers: the options, and what does not go together."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from bench.row.serialization import load_row, result_bytes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--executor", "slurm"], "Unknown executor 'slurm'. Known: local, ray."),
        (["--executor", "rai"], "Did you mean 'ray'?"),
        (["--workers", "0"], "Expected at least 1 worker, but got 0."),
        (["--address", "auto"], "--address is that of a Ray cluster: add --executor ray."),
        (["--executor", "ray", "--devices", "cuda:0"], "leave --devices out"),
        (["--devices", "cpu,cpu"], "Expected either --device or --devices, but got both."),
    ],
)
def test_options_that_do_not_go_together_are_one_line(run, here, words, message):
    """Before anything is loaded; nothing is written."""
    result = run(*words)
    assert result.code == 2 and message in result.message
    assert not (here / "journal").exists() and not (here / "leaderboard").exists()


def test_ray_that_is_not_installed_is_named_with_its_command(run, monkeypatch):
    """What to type."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    result = run("--executor", "ray")
    assert result.code == 2 and result.out == ""
    assert result.message == "bench: Ray is not installed. Install it with: pip install 'robust-bench[ray]'"


def test_two_workers_write_the_row_of_one(run):
    """The same `result`, a JSON document alone on stdout, and progress on stderr, though the model prints."""
    talkative = ["--model", "nets.py:talkative", "--samples", "100", "--json"]
    alone = run(*talkative, "--leaderboard", "alone")
    together = run(*talkative, "--leaderboard", "together", "--journal", "other", "--workers", "2")
    assert together.code == 0, together.err
    assert re.search(r"^apgd-ce: \d+/\d+ robust", together.err, re.MULTILINE)
    rows = [load_row(json.dumps(json.loads(result.out)["row"])) for result in (alone, together)]
    assert result_bytes(rows[0]) == result_bytes(rows[1])


def test_two_workers_transfer_as_one_process_does(run):
    """They build the surrogates too."""
    words = ["--model", "trades", "--threat-model", "Linf:0.25", "--samples", "70", "--json"]
    words += ["--suite", "blackbox-v1", "--queries", "20", "--surrogate", "nets.py:good"]
    alone = run(*words, "--leaderboard", "alone")
    together = run(*words, "--leaderboard", "together", "--journal", "other", "--workers", "2")
    assert together.code == 0, together.err
    rows = [load_row(json.dumps(json.loads(result.out)["row"])) for result in (alone, together)]
    assert result_bytes(rows[0]) == result_bytes(rows[1])
    assert rows[0].black_box == rows[1].black_box
    assert 0 < rows[0].result.n_robust < rows[0].result.n_clean
