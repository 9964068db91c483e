"""Rows of `blackbox-v1`: what they say of a model without a gradient, of its budget and of the surrogates."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import data, models
from bench.cli.tables import row_table
from bench.core.errors import BenchError
from bench.jobs.lookup import Lookup
from bench.jobs.probe import ProbeRequest, probe
from bench.jobs.run import RunRequest, run
from bench.jobs.shards import Shard, merge, run_shard
from bench.leaderboard.pages.board import load
from bench.leaderboard.store import EvidenceKind, read_breaks
from bench.row import parse_indices
from bench.row.serialization import load_row, result_bytes

ROOT = Path(__file__).resolve().parents[2]
"""Of the shipped board."""

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

    @torch.no_grad()
    def forward(self, inputs):
        return self.net(inputs)


def make():
    return Net()


def other():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return RunRequest(
        model=f"{tmp_path / 'net.py'}:make",
        surrogates=(f"{tmp_path / 'net.py'}:other",),
        dataset="digits",
        suite="blackbox-v1",
        queries=30,
        batch_size=16,
        samples=160,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


def test_shards_give_the_row_of_one_machine(request_, tmp_path):
    """Byte for byte, with what it says of the black box; another surrogate is another run."""
    for number in (2, 1):
        run_shard(request_, Shard(number=number, count=2))
    merged = merge(request_)
    alone = run(replace(request_, journal=tmp_path / "alone", leaderboard=tmp_path / "other"))
    assert result_bytes(merged.record) == result_bytes(alone.record)
    assert merged.record.black_box == alone.record.black_box
    assert merged.record.suite == "blackbox-30-v1"
    with pytest.raises(BenchError, match="surrogates"):
        merge(replace(request_, surrogates=("pgd-at",)))


def test_the_row_says_what_it_rests_on(request_, tmp_path):
    """No gradient, an upper bound, no rank; surrogates with the digests of their weights, and no path of a file."""
    ran = run(replace(request_, samples=40))
    known = ran.record.black_box
    assert (known.queries, known.gradient) == (30, False)
    other = models.load(f"{tmp_path / 'net.py'}:other", dataset=data.load("digits"))
    assert list(known.surrogates.values()) == [other.digest]
    assert str(tmp_path) not in str(known)
    assert "No gradient: upper bound. At most 30 queries an example" in row_table(ran.record)
    assert load_row(ran.path.read_bytes()) == ran.record
    (entry,) = board_entries(tmp_path / "board")
    assert entry.rank is None and "no gradient: upper bound" in entry.unranked
    again = run(replace(request_, samples=40, surrogates=("trades",), journal=tmp_path / "another"))
    assert again.outcome.value == "differs"
    assert any("surrogates" in difference for difference in again.differences)


def test_a_model_with_a_gradient_is_no_less_an_upper_bound(request_, tmp_path):
    """What it withstood without one says nothing of what it withstands."""
    ran = run(replace(request_, model="pgd-at", surrogates=(), samples=10))
    assert ran.record.black_box.gradient
    assert list(ran.record.black_box.surrogates) == ["trades", "standard"], "pgd-at itself is none"
    (entry,) = board_entries(tmp_path / "board")
    assert entry.rank is None and "black box: upper bound" in entry.unranked
    found = probe(ProbeRequest(record=ran.record, n_examples=4, lookup=Lookup(device="cpu")))
    assert found.change.level.value == "pass"


def test_data_that_bench_has_no_models_for(request_, tmp_path, refused):
    """What to pass instead; a surrogate named twice, and one for a suite that has no use for it."""
    import numpy as np

    digits = data.load("digits").examples[:40]
    np.savez(tmp_path / "own.npz", inputs=digits.inputs.numpy(), labels=digits.labels.numpy())
    own = replace(request_, dataset=str(tmp_path / "own.npz"), threat_model="Linf:0.1", samples=8)
    refused(lambda: run(replace(own, surrogates=())), "ships none for 'npz-own-", "--surrogate net.py:make")
    assert run(own).record.black_box.queries == 30
    refused(lambda: run(replace(request_, surrogates=("trades", "trades"))), "'trades' is named twice")
    refused(lambda: run(replace(request_, suite="quick-v1", queries=None)), "transfers from no other model")


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs the extra `onnx`")
def test_an_export_breaks_where_the_model_does(tmp_path):
    """Of the shipped pgd-at: the model in torch confirms every break, and attacks with gradients leave no more."""
    dataset = data.load("digits")
    pgd_at = models.load("pgd-at", dataset=dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter, which needs no further package
        torch.onnx.export(
            pgd_at.module, (dataset.examples[:2].inputs,), tmp_path / "net.onnx", dynamo=False, input_names=["images"],
            dynamic_axes={"images": {0: "N"}},
        )  # fmt: skip
    ran = run(
        RunRequest(
            model=f"onnx:{tmp_path / 'net.onnx'}", dataset="digits", suite="blackbox-v1", queries=100, samples=24,
            device="cpu", leaderboard=tmp_path / "board", journal=tmp_path / "journal",
        )
    )  # fmt: skip
    assert list(ran.record.black_box.surrogates) == ["trades", "standard"], "an export of pgd-at is pgd-at"
    breaks = read_breaks(ran.path, ran.record, EvidenceKind.OWN, shape=dataset.shape)
    clean = dataset.examples[torch.from_numpy(breaks.indices)]
    logits = pgd_at.module(torch.from_numpy(breaks.inputs(clean.inputs.numpy())))
    assert len(breaks) > 0
    assert (logits.argmax(1) != clean.labels).all()
    stored = load_row((ROOT / "leaderboard/standard-v1/digits/Linf-1_10/pgd-at.json").read_bytes())
    assert parse_indices(stored.result.indices)[:24] == parse_indices(ran.record.result.indices)
    assert sum(ran.record.verdicts()) >= sum(stored.verdicts()[:24])


def board_entries(root):
    return load(root).entries
