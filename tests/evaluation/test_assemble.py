"""A finished run is put together from its journal alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import RunPlan, assemble_plan, cost_of, evaluate_plan, make_plan, result_of, settled
from bench.row.arrays import evidence_file


class Silent(nn.Module):
    """The same model as another one to every digest, that must not be asked."""

    def forward(self, inputs: Tensor) -> Tensor:
        raise AssertionError("the model was asked")


@pytest.fixture
def asked(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> RunPlan:
    """A run with a journal, nothing of it done."""
    return make_plan(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=tmp_path / "journal")


def silenced(plan: RunPlan) -> RunPlan:
    return dataclasses.replace(plan, module=Silent(), forms=None)


def test_what_is_done_is_assembled_without_the_model(asked: RunPlan) -> None:
    """Verdicts, margins, costs and breaks of the run that did it."""
    found = evaluate_plan(settled(asked))
    again = assemble_plan(silenced(asked))
    assert again == found and result_of(again) == result_of(found) and cost_of(again) == cost_of(found)
    assert len(found.breaks) > 0
    assert evidence_file.dump_evidence(again.breaks) == evidence_file.dump_evidence(found.breaks)


def test_what_is_missing_is_named(asked: RunPlan) -> None:
    """Stage, chunk and examples; what is damaged is missing too."""
    with pytest.raises(BenchError, match="clean on chunk 0 is missing"):
        assemble_plan(silenced(asked))
    evaluate_plan(settled(asked))
    assert isinstance(asked.journal, Path)
    (asked.journal / "pgd-20" / "000001-64-127.json").write_bytes(b"cut")
    with pytest.raises(BenchError, match=r"pgd-20 on chunk 1 .*is missing \(examples 64:") as caught:
        assemble_plan(silenced(asked))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_the_journal_of_another_run_is_refused(asked: RunPlan) -> None:
    """By what differs, as a run refuses it."""
    evaluate_plan(settled(asked))
    other = dataclasses.replace(asked, header=dataclasses.replace(asked.header, seed=1))
    with pytest.raises(BenchError, match=r"made for another run: seed \(0 there, 1 here\)"):
        assemble_plan(silenced(other))
