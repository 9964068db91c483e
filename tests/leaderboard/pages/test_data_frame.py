"""Rows as a data frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench import leaderboard
from bench.core.errors import BenchError
from bench.core.statistics import wilson
from bench.leaderboard.pages.data_frame import csv_of, frame_of
from bench.row.record import Card
from bench.row.serialization import load_row

ROOT = Path(__file__).resolve().parents[3]
FROZEN = ROOT / "tests" / "row" / "frozen" / "record_v1.json"


def test_a_line_for_each_row_of_the_board():
    """Counts as integers, missing where an attack was not run; fractions with Wilson's ends."""
    frame = bench.rows(ROOT / "leaderboard")
    records = [record for _, record in leaderboard.read_all(ROOT / "leaderboard")]
    assert frame["model"].tolist() == [record.model for record in records]
    assert frame["n_robust"].tolist() == [record.n_robust for record in records]
    for line, record in zip(frame.to_dict("records"), records, strict=True):
        counts = {attack.name: attack.n_robust for attack in record.result.attacks}
        stored = {name.removeprefix("n_robust:"): n for name, n in line.items() if name.startswith("n_robust:")}
        assert {name: n for name, n in stored.items() if name in counts} == counts
        assert (line["clean_low"], line["clean_high"]) == wilson(record.result.n_clean, record.result.n_examples)
        assert line["robust_low"] <= line["robust"] <= line["robust_high"]


def test_what_is_certified_is_a_column_where_there_are_certificates():
    """Missing where nobody tried, and never above what attacks left."""
    frame = bench.rows(ROOT / "leaderboard")
    certified = frame[frame["n_certified"].notna()]
    assert 0 < len(certified) < len(frame) and (certified["n_certified"] <= certified["n_robust"]).all()


def test_a_table_that_a_spreadsheet_opens_holds_no_formula():
    """Whatever a card says of itself, and also in the name of an attack."""
    record = load_row(FROZEN.read_bytes())
    card = Card(title="=1+1", reference="", architecture="@x", n_parameters=1, extra_data=None)
    text = csv_of([replace(record, card=card)])
    assert ",'=1+1," in text and ",'@x," in text


def test_epochs_are_a_column():
    """Missing where nobody said how many there were."""
    record = load_row(FROZEN.read_bytes())
    card = Card(title="", reference="", architecture="", n_parameters=1, extra_data=None, epochs=20)
    frame = frame_of([record, replace(record, card=card)])
    assert frame["epochs"].isna().tolist() == [True, False] and frame["epochs"][1] == 20


def test_a_folder_without_rows_is_an_empty_frame(tmp_path):
    """With the columns that it would have."""
    assert bench.rows(tmp_path).empty and "robust_low" in bench.rows(str(tmp_path)).columns


def test_a_damaged_row_is_refused(tmp_path):
    """By name, as everywhere."""
    path = tmp_path / "quick-v1" / "digits" / "Linf-1_10" / "x.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(BenchError, match=r"x\.json"):
        bench.rows(tmp_path)
