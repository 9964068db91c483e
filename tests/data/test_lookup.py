from __future__ import annotations

import pytest

from bench.core.errors import BenchError
from bench.data import lookup


def test_looks_in_the_named_folder_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    """The first folder that holds the data wins."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path / "cache"))
    named, variable, cache = tmp_path / "named", tmp_path / "variable", tmp_path / "cache" / "data"
    monkeypatch.setenv("BENCH_DATA_DIR", str(variable))
    for folder in (named, variable, cache):
        folder.mkdir(parents=True)
    assert lookup.folders(named) == (named, variable, cache)
    assert lookup.find("x", data_dir=named) is None
    for folder in (cache, variable, named):
        (folder / "x").touch()
        assert lookup.find("x", data_dir=named) == folder


def test_names_a_folder_that_does_not_exist(tmp_path, monkeypatch):
    """A mistyped folder is an error, not a reason to download."""
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    with pytest.raises(BenchError, match=r"No such data folder: .*nowhere \(from --data-dir\)"):
        lookup.find("x", data_dir=tmp_path / "nowhere")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match="from BENCH_DATA_DIR"):
        lookup.find("x", data_dir=None)
