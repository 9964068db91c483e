"""Tests of where bfloat16 pays."""

import pytest
import torch

from bench.ops import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_a_cpu_has_bfloat16_by_either_set_of_instructions(monkeypatch, name):
    """One of the two is enough, and none means none."""
    for each in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, each, lambda: False, raising=False)
    assert not precision.has_bfloat16(CPU)
    monkeypatch.setattr(torch.cpu, name, lambda: True, raising=False)
    assert precision.has_bfloat16(CPU)


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_products_are_in_bfloat16_only_where_it_is_fast(monkeypatch, has, dtype):
    """A CPU without its instructions trains in float32, instead of nine times slower."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: has)
    with precision.autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is dtype
