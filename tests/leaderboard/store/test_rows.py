"""Rows on disk, and when one may replace another."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core import digest
from bench.core.errors import BenchError, ContradictionError
from bench.leaderboard import Identity, amend, find, read, read_all, write
from bench.leaderboard.store import evidence as files
from bench.row import Certificate, pack_verdicts
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks
from bench.row.fingerprint import Fingerprint
from bench.row.packing import pack_logits
from bench.row.record import Diagnostic, EvidenceFile, ExternalBreak, Record, Reported

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


def test_more_examples_that_agree_extend_the_row(tmp_path: Path, record: Make) -> None:
    """Without force; margins that rounding alone moved are no disagreement, since batches were others."""
    write(record([True, False]), tmp_path)
    longer = record([True, False, True], margins=[1.0009765625, -1.0, 1.0])
    found = write(longer, tmp_path)
    assert found.written and found.reproduces and found.n_before == 2 and found.differences == ()
    assert read(found.path) == longer
    assert not write(record([True, False]), tmp_path).written and read(found.path) == longer


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"robust": [True, True, True]}, "pgd-20: 1 there, 2 here of 2 (0 lost, 1 gained, p = 1)"),
        ({"seed": 1}, "not comparable: seed: 0 and 1"),
        ({"start": 1}, "examples: 0:2 there, 1:4 here"),
        ({"start": 5}, "not comparable: no common examples: 0:2 and 5:8"),
        ({"model_digest": "n" * 64}, "model: mmmmmmmmmmmm there, nnnnnnnnnnnn here"),
        ({"factory_digest": "n" * 64}, "factory: ffffffffffff there, nnnnnnnnnnnn here"),
        ({"margins": [-0.5, -0.25, 1.0], "robust": [False, False, True]}, "lost"),
    ],
)
def test_more_examples_that_disagree_wait_for_force(
    tmp_path: Path, record: Make, change: dict[str, Any], says: str
) -> None:
    """A verdict, the seed, the model, or not all of the row's examples: it says what, and the row stays."""
    first = record([True, False])
    path = write(first, tmp_path).path
    digests = dataclasses.replace(
        first.digests,
        model=change.pop("model_digest", first.digests.model),
        factory=change.pop("factory_digest", first.digests.factory),
    )
    longer = record(change.pop("robust", [True, False, True]), digests=digests, **change)
    found = write(longer, tmp_path)
    assert not found.written and not found.reproduces and any(says in each for each in found.differences)
    assert read(path) == first
    assert write(longer, tmp_path, force=True).written and read(path) == longer


def test_margins_of_another_attack_do_not_extend_a_row(tmp_path: Path, record: Make) -> None:
    """The same verdicts from a weaker attack: its margins tell, as they do in a check."""
    generator = random.Random(0)
    margins = [generator.uniform(0.5, 1.0) for _ in range(40)]
    write(record([True] * 20, margins=margins[:20]), tmp_path)
    found = write(record([True] * 40, margins=[1.1 * each for each in margins]), tmp_path)
    assert not found.written and "an attack changed: pgd-20: best margins of survivors" in found.differences[0]


def test_a_longer_row_that_lacks_a_part_does_not_extend_a_whole_one(tmp_path: Path, record: Make) -> None:
    """What failed is named; the same run does it again, and extends the row then."""
    checked = Diagnostic(id="R1", status="pass", statistic=None, threshold=None, evidence="fine", next="")
    failed = dataclasses.replace(checked, status="not run", evidence="not run: no memory")
    write(_diagnosed(record([True, False]), checked), tmp_path)
    assert write(_diagnosed(record([True, False, True]), failed), tmp_path).differences == ("not run here: R1",)
    assert write(_diagnosed(record([True, False, True]), checked), tmp_path).n_before == 2


def test_a_row_of_another_doctor_is_not_another_row(tmp_path: Path, record: Make) -> None:
    """Where the checks that were made are not the same, what they say is not compared; else it is."""
    checks = {
        name: Diagnostic(id=name, status="pass", statistic=None, threshold=None, evidence=evidence, next="")
        for name, evidence in (("R6", "As it was."), ("R21", "New."))
    }
    doubt = dataclasses.replace(checks["R6"], status="warn", evidence="In other words.")
    path = write(_diagnosed(record([True]), checks["R6"]), tmp_path).path
    assert path is not None
    before = read(path)
    again = write(_diagnosed(record([True]), doubt, checks["R21"]), tmp_path)
    assert again.reproduces and not again.written and read(path) == before
    assert not write(_diagnosed(record([True]), doubt), tmp_path).reproduces


def _diagnosed(row: Record, *diagnostics: Diagnostic) -> Record:
    return dataclasses.replace(row, result=dataclasses.replace(row.result, diagnostics=diagnostics))


def _broken_by_others(row: Record, *indices: int) -> tuple[Record, bytes]:
    """The row with breaks that somebody handed in one by one, and their file."""
    count = len(indices)
    content = evidence_file.dump_evidence(
        Breaks(
            indices=np.array(indices),
            labels=np.zeros(count, np.int64),
            predictions=np.ones(count, np.int64),
            margins=np.full(count, -1.0, np.float32),
            rounded=np.ones(count, bool),
            deltas=np.ones((count, 1, 2, 2), np.int8),
            exact=np.zeros((0, 1, 2, 2), np.float32),
        )
    )
    entries = tuple(
        ExternalBreak(source="a page", by=f"reader {index}", date="2026-01-01", n=1, indices=(index,))
        for index in indices
    )
    link = EvidenceFile(sha256=digest.of_content(content), n_breaks=count)
    return dataclasses.replace(row, external_breaks=entries, external_evidence=link), content


def test_what_others_broke_stays_with_an_extended_row(tmp_path: Path, record: Make) -> None:
    """With its file, byte for byte."""
    path = write(record([True, True]), tmp_path).path
    amended, content = _broken_by_others(record([True, True]), 0, 1)
    amend(path, amended, content)
    assert write(record([True, True, True]), tmp_path).written
    after = read(path)
    assert after.external_breaks == amended.external_breaks and after.n_robust == 1
    assert files.read_file(path, after, files.EvidenceKind.EXTERNAL) == content


def test_what_others_broke_is_kept_where_it_still_applies(tmp_path: Path, record: Make) -> None:
    """A row of other examples keeps those breaks that are of its own; one of other weights keeps none."""
    path = write(record([True, True]), tmp_path).path
    amended, content = _broken_by_others(record([True, True]), 0, 1)
    amend(path, amended, content)
    others = record([True, True, True], start=1)
    assert write(others, tmp_path, force=True).written
    after = read(path)
    assert [each.by for each in after.external_breaks] == ["reader 1"] and after.n_robust == 2
    kept = files.read_file(path, after, files.EvidenceKind.EXTERNAL)
    assert evidence_file.load_evidence(kept or b"", most_bytes=1 << 20).indices.tolist() == [1]
    retrained = dataclasses.replace(others, digests=dataclasses.replace(others.digests, model="n" * 64))
    assert write(retrained, tmp_path, force=True).written
    assert read(path) == retrained and list(path.parent.iterdir()) == [path]


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


def test_a_row_is_completed_by_what_failed_when_it_was_written(tmp_path: Path, record: Make) -> None:
    """A reported number or a check that did not run; and none that the row has is given up for it."""
    checks = tuple(
        Diagnostic(id=name, status="pass", statistic=None, threshold=None, evidence="", next="")
        for name in ("R5", "R8")
    )
    missing = dataclasses.replace(checks[1], status="not run", evidence="not run: MemoryError: no message")
    number = Reported(name="share", parameters={}, statistics={"clean": 0.5})
    whole = _with(record([True]), diagnostics=checks, reported=(number,))
    without_number = dataclasses.replace(
        _with(record([True]), diagnostics=checks), not_run={"share": "RuntimeError: no such layer"}
    )
    without_check = _with(record([True]), diagnostics=(checks[0], missing), reported=(number,))
    content = evidence_file.dump_evidence(Breaks.none((1, 1, 1)))
    link = EvidenceFile(sha256=digest.of_content(content), n_breaks=0)
    whole, without_number, without_check = (
        dataclasses.replace(row, evidence=link) for row in (whole, without_number, without_check)
    )
    for lacking in (without_number, without_check):
        root = tmp_path / lacking.result.diagnostics[1].status
        path = write(lacking, root, evidence=content).path
        for other in (without_number, without_check):
            again = write(other, root, evidence=content)
            assert again.reproduces and not again.written and read(path) == lacking
        done = write(whole, root, evidence=content)
        assert done.reproduces and done.written and read(path) == whole
        back = write(lacking, root, evidence=content)
        assert back.reproduces and not back.written and read(path) == whole


def _with(row: Record, **change: Any) -> Record:
    return dataclasses.replace(row, result=dataclasses.replace(row.result, **change))


def test_another_function_is_a_difference(tmp_path: Path, record: Make) -> None:
    """The same verdicts of the same weights in another function are not the same row, and keep nobody's breaks."""
    entry = ExternalBreak(source="a", by="b", date="2026-01-01", n=1, indices=(0,))
    first, same, other = (
        record([True, False], fingerprint=Fingerprint(logits={"a": pack_logits([1.0, logit])}))
        for logit in (2.0, 2.00001, 3.0)
    )
    write(dataclasses.replace(first, external_breaks=(entry,)), tmp_path)
    assert write(same, tmp_path).reproduces
    difference = "fingerprint: logits on fixed inputs differ by 0.33 of the largest"
    assert write(other, tmp_path).differences == (difference,)
    path = write(other, tmp_path, force=True).path
    assert read(path) == other and read(path).external_breaks == ()


def test_a_row_about_more_than_its_data_set_has_is_refused(record: Make) -> None:
    """Digits have 360 test examples; of a user's own data nobody knows."""
    assert record([True], dataset="mine", start=5000)
    assert record([True], dataset="digits", start=359)
    with pytest.raises(ContradictionError, match="digits below 360"):
        record([True], dataset="digits", start=360)


def test_what_is_proved_stays_with_the_same_weights(tmp_path: Path, record: Make) -> None:
    """Also where a row is extended; of examples that a row has not, and of other weights, nothing stays."""
    first = record([True, True, False])
    proved = Certificate(
        method="by hand", code="c", model="m" * 64, indices="0:2", n_proved=1, proved=pack_verdicts([False, True])
    )
    path = write(first, tmp_path).path
    amend(path, dataclasses.replace(first, certificate=proved))
    assert write(record([True, True, False, True]), tmp_path).written
    assert read(path).certificate == proved and read(path).certified() == (False, True, False, False)
    others = record([True, True, True, True], start=1)
    assert write(others, tmp_path, force=True).written
    kept = read(path).certificate
    assert kept is not None and (kept.indices, kept.proved_indices()) == ("1:2", {1})
    retrained = dataclasses.replace(others, digests=dataclasses.replace(others.digests, model="n" * 64))
    assert write(retrained, tmp_path, force=True).written
    assert read(path).certificate is None
