"""Parts of a run on machines that know nothing of each other, and the row that one machine would have written."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.evaluation import search_precision
from bench.jobs.run import RunRequest, run
from bench.jobs.shards import Shard, merge, run_shard
from bench.row.serialization import result_bytes

NET = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
"""


@pytest.fixture
def request_(tmp_path):
    """Three blocks of two chunks, the last one short, with the fast engine."""
    (tmp_path / "net.py").write_text(NET)
    return RunRequest(
        model=f"{tmp_path / 'net.py'}:make",
        dataset="digits",
        suite="quick-v1",
        engine="fast",
        batch_size=16,
        samples=300,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


def test_shards_in_any_order_give_the_row_of_one_machine(request_, tmp_path, monkeypatch):
    """Byte for byte, diagnostics included; each shard computes its own chunks alone, and nothing is computed again."""
    for number in (3, 1, 2):
        assert run_shard(request_, Shard(number=number, count=3)).journal == tmp_path / f"journal/shard-{number}-of-3"
    chunks = {
        number: {path.name[:6] for path in tmp_path.glob(f"journal/shard-{number}-*/*/*")} for number in (1, 2, 3)
    }
    assert chunks == {1: {"000000", "000001"}, 2: {"000002", "000003"}, 3: {"000004"}}
    assert [path.parent.parent.name for path in tmp_path.glob("journal/*/doctor/*.json")] == ["shard-1-of-3"]
    with monkeypatch.context() as patch:
        patch.setattr("bench.jobs.findings.diagnose_briefly", lambda *_, **__: pytest.fail("looked again"))
        run_shard(request_, Shard(number=1, count=3))
        merged = merge(request_)
    assert merged.record.unfinished == {}
    alone = run(replace(request_, journal=tmp_path / "alone", leaderboard=tmp_path / "other"))
    assert 0 < alone.record.result.n_robust < alone.record.result.n_clean
    assert result_bytes(merged.record) == result_bytes(alone.record)
    assert merged.path is not None and merged.path.parent != alone.path.parent
    again = run(replace(request_, journal=tmp_path / "journal" / "merged"))
    assert again.outcome.value == "reproduces", "the merged journal is an ordinary one"


def test_a_shard_that_is_missing_or_not_done_is_named(request_, tmp_path):
    """And no row is written; its own command goes on, and the merge with it."""
    with pytest.raises(BenchError, match="No shards in"):
        merge(request_)
    run_shard(request_, Shard(number=1, count=2))
    with pytest.raises(BenchError, match=r"Missing in .*: shard 2/2\. Run it"):
        merge(request_)
    run_shard(request_, Shard(number=2, count=2))
    (tmp_path / "journal" / "shard-2-of-2" / "pgd-20" / "000003-192-255.json").write_bytes(b"cut")
    with pytest.raises(BenchError, match=r"pgd-20 on chunk 2 to 3 is missing|pgd-20 on chunk 3 is missing"):
        merge(request_)
    assert not (tmp_path / "board").exists()
    run_shard(request_, Shard(number=2, count=2))
    assert merge(request_).outcome.value == "written"


def test_shards_of_different_runs_are_not_merged(request_, tmp_path):
    """What differs is named, in the shards and in the options of the merge."""
    run_shard(request_, Shard(number=1, count=2))
    run_shard(replace(request_, seed=1), Shard(number=2, count=2))
    with pytest.raises(BenchError, match=r"of different runs: seed \(0 there, 1 here\)"):
        merge(request_)
    (tmp_path / "journal" / "shard-3-of-3").mkdir()
    with pytest.raises(BenchError, match="Shards of 2 and of 3 parts"):
        merge(request_)


def test_options_of_the_merge_are_those_of_the_shards(request_):
    """Another seed asks for another row."""
    run_shard(request_, Shard(number=1, count=1))
    with pytest.raises(BenchError, match="was made for another run: seed"):
        merge(replace(request_, seed=5))


def test_the_merge_has_the_precision_of_the_shards(request_, monkeypatch):
    """Also on a machine whose own rule says otherwise; shards whose machines differ are told so."""
    monkeypatch.setattr(search_precision, "_LEAST_OPERATIONS", 0)
    monkeypatch.setattr(search_precision, "has_bfloat16", lambda device: True)
    small = replace(request_, samples=140)
    run_shard(small, Shard(number=1, count=2))
    run_shard(small, Shard(number=2, count=2))
    monkeypatch.setattr(search_precision, "has_bfloat16", lambda device: False)
    cost = merge(small).record.cost
    assert cost.precision == "bf16+float32"
    assert "cpu with bfloat16 instructions" in cost.precision_reason
    shutil.rmtree(request_.journal / "shard-2-of-2")
    run_shard(small, Shard(number=2, count=2))
    with pytest.raises(BenchError, match=r"of different runs: precision \(bf16\+float32 there, float32 here\)"):
        merge(small)


def test_what_cannot_be_divided(request_):
    """A choice among all survivors, a budget, a measurement; said before anything is computed."""
    with pytest.raises(BenchError, match="chooses among the survivors of all examples"):
        run_shard(replace(request_, suite="cascade-v1", engine=None), Shard(number=1, count=2))
    with pytest.raises(BenchError, match="leave --budget out"):
        run_shard(replace(request_, budget=60.0, samples=None), Shard(number=1, count=2))
    with pytest.raises(BenchError, match="each measure for themselves"):
        run_shard(replace(request_, precision="measured"), Shard(number=1, count=2))
    assert not request_.journal.exists()


def test_more_shards_than_blocks(request_):
    """Those without examples say so and succeed; the merge does not ask for them."""
    told: list[str] = []
    few = replace(request_, samples=20)
    assert run_shard(few, Shard(number=1, count=2), notify=told.append).journal is None
    assert any("Shard 1/2 has no examples" in line for line in told)
    assert run_shard(few, Shard(number=2, count=2)).journal is not None
    assert merge(few).record.result.n_examples == 20


@given(st.integers(1, 5000), st.integers(1, 12), st.sampled_from([8, 16, 64, 512]))
def test_shards_cover_every_example_once(n_examples: int, count: int, batch_size: int) -> None:
    """Whatever the numbers, in whole blocks."""
    indices = range(n_examples)
    parts = [Shard(number=number, count=count).rows(indices, batch_size) for number in range(1, count + 1)]
    assert parts[0].start == 0 and parts[-1].stop == n_examples
    assert all(before.stop == after.start for before, after in itertools.pairwise(parts))
    assert all(part.start % max(64, 8 * batch_size) == 0 for part in parts if part.start < n_examples)


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/2", "1/2/3", "1 /2", "٣/٤"])
def test_what_is_no_shard(text: str) -> None:
    """One line with the form."""
    with pytest.raises(BenchError, match="Expected a shard"):
        Shard.parse(text)
    assert str(Shard.parse(" 2/4 ")) == "2/4"


def test_shards_of_another_function_are_not_merged(request_, tmp_path, monkeypatch):
    """Neither two shards of different ones, nor shards by whoever merges them with another."""
    monkeypatch.setenv("BX_FACTOR", "1")
    text = NET.replace("import torch\n", "import os\nimport torch\n", 1)
    text = text.replace("return nn.Sequential(", "return nn.Sequential(Times(), ")
    times = "class Times(nn.Module):\n    def forward(self, x):\n        return x * float(os.environ['BX_FACTOR'])\n"
    (tmp_path / "net.py").write_text(text.replace("def make", f"{times}\n\ndef make"))
    run_shard(request_, Shard(number=1, count=2))
    monkeypatch.setenv("BX_FACTOR", "0.9")
    run_shard(request_, Shard(number=2, count=2))
    with pytest.raises(BenchError, match="of different runs: fingerprint"):
        merge(request_)
    monkeypatch.setenv("BX_FACTOR", "1")
    shutil.rmtree(tmp_path / "journal" / "shard-2-of-2")
    run_shard(request_, Shard(number=2, count=2))
    monkeypatch.setenv("BX_FACTOR", "0.9")
    with pytest.raises(BenchError, match="was made for another run: fingerprint"):
        merge(request_)
    monkeypatch.setenv("BX_FACTOR", "1")
    assert merge(request_).outcome.value == "written"
