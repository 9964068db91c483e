"""A whole test split at once, as on a GPU: from the command line to the page, on inputs small enough for a CPU."""

from __future__ import annotations

import json

import numpy as np

N_EXAMPLES = 10_000
NET = """
import torch
from torch import nn


def make():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.eye(4).repeat(1, 4))
    return net
"""


def test_ten_thousand_examples_from_the_run_to_the_page(bench, here):
    """Every statistic, the row, its evidence and the pages; the clean verdicts are known, nine of ten right."""
    (here / "linear.py").write_text(NET)
    inputs = np.random.default_rng(0).random((N_EXAMPLES, 1, 4, 4)).astype(np.float32)
    labels = inputs.reshape(-1, 4, 4).sum(1).argmax(1)
    labels[::10] = (labels[::10] + 1) % 4
    np.savez(here / "many.npz", inputs=inputs, labels=labels)
    command = ["run", "--model", "linear.py:make", "--dataset", "many.npz", "--samples", str(N_EXAMPLES)]
    options = ["--suite", "quick-v1", "--threat-model", "Linf:1/50", "--device", "cpu", "--batch-size", "1024"]
    ran = bench(*command, *options, "--journal", "journal", "--quiet", "--json")
    assert ran.code == 0, ran.err
    row = json.loads(ran.out)["row"]
    assert row["result"]["n_examples"] == N_EXAMPLES
    assert row["result"]["n_clean"] == N_EXAMPLES * 9 // 10
    checks = {check["id"]: check for check in row["result"]["diagnostics"]}
    assert {"R10", "R19"} <= checks.keys()
    assert {check["status"] for check in checks.values()} == {"pass", "not applicable"}, checks
    assert row["evidence"]["n_breaks"] == row["result"]["n_clean"] - row["result"]["n_robust"] > 100
    assert bench("publish").code == 0
    assert "Nothing was found." in bench("check").out
    shown = bench("show", row["model"], "--json")
    assert json.loads(shown.out)[0]["result"] == row["result"]
    assert f"{row['result']['n_robust']} of {N_EXAMPLES}" in bench("show", row["model"]).out
    assert row["model"] in (here / "leaderboard" / "index.html").read_text()
