"""Rows on disk, and when one may replace another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.leaderboard import Identity, find, read, read_all, write

Make = Callable[..., Record]


def test_a_row_lies_where_its_identity_says(tmp_path: Path, record: Make) -> None:
    """Suite, dataset, threat model, model; the suite's parameters beside it; read back as written."""
    row = record([True, False])
    written = write(row, tmp_path)
    assert written.path == tmp_path / "standard-v1" / "cifar10" / "Linf-8_255" / "pgd-at.json"
    assert written.written and not written.existed
    assert read(written.path) == row == find(tmp_path, Identity.of(row))
    assert list(read_all(tmp_path)) == [(written.path, row)]
    suite = json.loads((tmp_path / "standard-v1" / "suite.json").read_text())
    assert suite["attacks"][0]["parameters"]["steps"] == 20 and suite["digest"] == "s" * 64


def test_no_row_is_none(tmp_path: Path, record: Make) -> None:
    """An absent row is no error."""
    assert find(tmp_path, Identity.of(record([True]))) is None
    assert list(read_all(tmp_path / "nowhere")) == []


def test_the_same_result_reproduces_and_writes_nothing(tmp_path: Path, record: Make) -> None:
    """Cost and provenance may differ; even force has nothing to replace."""
    path = write(record([True, False]), tmp_path).path
    before = path.read_bytes()
    again = record([True, False])
    again = dataclasses.replace(again, cost=dataclasses.replace(again.cost, device="another"))
    for force in (False, True):
        found = write(again, tmp_path, force=force)
        assert found.existed and found.reproduces and not found.written
    assert path.read_bytes() == before


def test_a_difference_is_told_and_only_force_replaces(tmp_path: Path, record: Make) -> None:
    """Verdicts with counts and probability, or margins alone."""
    path = write(record([True, False, True]), tmp_path).path
    new = record([True, True, True])
    found = write(new, tmp_path)
    assert not found.written and not found.reproduces
    assert found.differences[0] == "pgd-20: 2 there, 3 here of 3 (0 lost, 1 gained, p = 1)"
    assert read(path) != new
    margins = write(record([True, False, True], margins=[2.0, -1.0, 1.0]), tmp_path)
    assert margins.differences == ("pgd-20: same verdicts, best margins differ by up to 1",)
    assert write(new, tmp_path, force=True).written
    assert read(path) == new


def test_another_checkpoint_is_a_difference(tmp_path: Path, record: Make) -> None:
    """The same verdicts of other weights are not the same row."""
    first = record([True, False])
    write(first, tmp_path)
    second = record([True, False], digests=dataclasses.replace(first.digests, model="n" * 64))
    assert write(second, tmp_path).differences == ("model: mmmmmmmmmmmm there, nnnnnnnnnnnn here",)


def test_fewer_examples_never_replace_more(tmp_path: Path, record: Make) -> None:
    """A smaller row is held against its own examples; it may reproduce them, and is never written."""
    path = write(record([True, False, True]), tmp_path).path
    before = path.read_bytes()
    assert write(record([True, False]), tmp_path).reproduces
    assert write(record([True, False]), tmp_path, force=True).reproduces
    with pytest.raises(BenchError, match="has 3 examples; one with 2 never replaces it"):
        write(record([True, True]), tmp_path, force=True)
    assert path.read_bytes() == before


def test_more_examples_replace_by_force_alone(tmp_path: Path, record: Make) -> None:
    """A longer row says so, and waits for force."""
    write(record([True, False]), tmp_path)
    longer = record([True, False, True])
    found = write(longer, tmp_path)
    assert not found.written and found.differences == ("examples: 2 there, 3 here",)
    assert write(longer, tmp_path, force=True).written


def test_a_published_suite_never_changes(tmp_path: Path, record: Make) -> None:
    """Another parameter or digest under the same name is refused, force or not, and nothing is written."""
    write(record([True]), tmp_path)
    other = record([True], model="aw-net", parameters={"steps": 21})
    with pytest.raises(BenchError, match=r"A published suite never changes.*next version"):
        write(other, tmp_path, force=True)
    assert len(list(read_all(tmp_path))) == 1


@pytest.mark.parametrize(
    "name", ["../evil", "a/b", "", ".hidden", "a..b", "a\nb", "/etc/passwd", "net.py:make", "x" * 101]
)
@pytest.mark.parametrize("part", ["model", "dataset", "suite"])
def test_unsafe_names_are_refused(tmp_path: Path, record: Make, part: str, name: str) -> None:
    """No name leads out of the folder, and nothing is written."""
    with pytest.raises(BenchError, match=f"Cannot store a row for {part}") as caught:
        write(record([True], **{part: name}), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_symbolic_links_are_refused(tmp_path: Path, record: Make) -> None:
    """Neither a folder nor a row is followed elsewhere."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    elsewhere.mkdir()
    root.mkdir()
    (root / "standard-v1").symlink_to(elsewhere)
    with pytest.raises(BenchError, match="is a symbolic link"):
        write(record([True]), root)
    assert list(elsewhere.iterdir()) == []


def test_damaged_and_misplaced_rows_are_named(tmp_path: Path, record: Make) -> None:
    """A row cut short, and one that was renamed by hand."""
    path = write(record([True]), tmp_path).path
    moved = path.with_name("better.json")
    path.rename(moved)
    with pytest.raises(BenchError, match=r"better\.json is not where it belongs: expected .*pgd-at\.json"):
        list(read_all(tmp_path))
    path.write_bytes(moved.read_bytes()[:100])
    with pytest.raises(BenchError, match=r"Cannot read .*pgd-at\.json as a row"):
        read(path)
    with pytest.raises(BenchError, match="Cannot read row"):
        read(tmp_path / "absent.json")


def _with_attack(row: Record, name: str, steps: int = 9) -> Record:
    """The row with one more column, as a model with structure has it."""
    more = dataclasses.replace(row.result.attacks[0], name=name, parameters={"steps": steps})
    result = dataclasses.replace(row.result, attacks=(*row.result.attacks, more))
    return dataclasses.replace(row, suite="adaptive-v1", result=result)


def test_a_suite_with_rules_is_pinned_whole_whatever_model_comes_first(tmp_path: Path, record: Make) -> None:
    """Rows of one adaptive suite differ in their attacks; each has to be of the published rule, and alone too."""
    plain = dataclasses.replace(record([True]), suite="adaptive-v1")
    pairs = _with_attack(record([True], model="ducat"), "adaptive-pairs")
    suite = {
        "suite": "adaptive-v1",
        "digest": "s" * 64,
        "attacks": [{"name": "pgd-20", "parameters": plain.result.attacks[0].parameters}],
        "rules": [{"structure": "raw-pairs", "attacks": [{"name": "adaptive-pairs", "parameters": {"steps": 9}}]}],
    }
    assert write(plain, tmp_path, suite=suite).written
    assert json.loads((tmp_path / "adaptive-v1" / "suite.json").read_text()) == suite
    assert write(pairs, tmp_path, suite=suite).written
    assert write(_with_attack(record([True], model="trades-ducat"), "adaptive-pairs"), tmp_path).written
    for other in (
        _with_attack(record([True], model="x"), "adaptive-pairs", steps=10),
        _with_attack(record([True], model="x"), "made-up"),
        dataclasses.replace(plain, model="x", digests=dataclasses.replace(plain.digests, suite="t" * 64)),
    ):
        with pytest.raises(BenchError, match="A published suite never changes"):
            write(other, tmp_path)
    with pytest.raises(BenchError, match="A published suite never changes"):
        write(dataclasses.replace(plain, model="x"), tmp_path, suite={**suite, "rules": []})
