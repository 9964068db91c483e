"""Ctrl-C, as a terminal sends it, to a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.row.serialization import load_row, result_bytes

NET = """
import time

import torch
from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, inputs):
        time.sleep(PAUSE)
        return self.inner(inputs)


def make():
    return Slow()
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`bench run` on three chunks of digits, as a process of its own."""
    program = "from bench.cli.main import main; main()"
    usual = ["run", "--model", "net.py:make", "--dataset", "digits", "--suite", "quick-v1", "--samples", "150"]
    return subprocess.Popen(
        [sys.executable, "-c", program, *usual, "--device", "cpu", "--json", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts jobs in the background has them ignore Ctrl-C; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def test_an_interrupted_run_is_resumed_by_the_same_command(tmp_path):
    """Exit 130 with the hint, no row; then the same result as a run that nobody interrupted."""
    (tmp_path / "net.py").write_text(NET.replace("PAUSE", "0.005"))
    words = ("--journal", "journal", "--leaderboard", "board")
    process = start(tmp_path, *words)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("journal/pgd-20/*.json")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "bench: interrupted; what was finished is kept. The same command resumes."
    assert not (tmp_path / "board").exists()
    done = set(tmp_path.glob("journal/*/*.json"))

    resumed = start(tmp_path, *words)
    out, err = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, err
    assert all(path.stat().st_mtime <= resumed_since(tmp_path, done) for path in done)
    straight = start(tmp_path, "--journal", "other", "--leaderboard", "other-board")
    expected, err = straight.communicate(timeout=300)
    assert straight.returncode == 0, err
    rows = [load_row(json.dumps(json.loads(text)["row"])) for text in (out, expected)]
    assert result_bytes(rows[0]) == result_bytes(rows[1])


def resumed_since(folder: Path, done: set[Path]) -> float:
    """When the first piece of work after the interrupt was stored."""
    return min(path.stat().st_mtime for path in set(folder.glob("journal/*/*.json")) - done)
