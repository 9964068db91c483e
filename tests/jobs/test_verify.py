"""A row is verified from what lies beside it, and whoever changes something is found out."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import leaderboard
from bench.core import digest
from bench.core.errors import BenchError
from bench.jobs.lookup import Lookup
from bench.jobs.run import RunRequest, run
from bench.jobs.verify import verify
from bench.leaderboard.store.evidence import EvidenceKind, path_of
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks
from bench.row.check_result import Level
from bench.row.packing import pack_margins, pack_verdicts, unpack_margins
from bench.row.record import EvidenceFile
from bench.row.serialization import dump_row

CPU = Lookup(device="cpu")


def failed(path, lookup=CPU):
    """The names of the checks that fail, and all that they say."""
    found = verify(path, lookup)
    bad = [check for check in found.checks if check.level is Level.FAIL]
    return [check.what for check in bad], "; ".join(check.evidence for check in bad)


def evidence_path(row):
    return path_of(row, EvidenceKind.OWN, leaderboard.read(row).evidence)


def breaks_of(row):
    return evidence_file.load_evidence(evidence_path(row).read_bytes(), most_bytes=1 << 20)


def forge(row, *, breaks=None, **change):
    """Write a row, and evidence if given, as a skilled forger would: digests and checksum fit."""
    record = dataclasses.replace(leaderboard.read(row), **change)
    if breaks is not None:
        content = evidence_file.dump_evidence(breaks)
        link = EvidenceFile(sha256=digest.of_content(content), n_breaks=len(breaks))
        record = dataclasses.replace(record, evidence=link)
        path_of(row, EvidenceKind.OWN, link).write_bytes(content)
    row.write_text(dump_row(record))


def with_verdicts(row, index, robust):
    """The row's result with one example called robust, or broken, by every attack."""
    result = leaderboard.read(row).result
    attacks = []
    for attack in result.attacks:
        verdicts = list(result.robust_verdicts(attack))
        verdicts[index] = robust
        attacks.append(
            dataclasses.replace(
                attack,
                n_robust=sum(verdicts),
                robust=pack_verdicts(verdicts),
                best_margin=pack_margins([1.0 if verdict else -1.0 for verdict in verdicts]),
            )
        )
    n_robust = result.n_robust + (1 if robust else -1)
    return dataclasses.replace(result, attacks=tuple(attacks), n_robust=n_robust)


def test_a_row_that_was_just_written_holds(row):
    """Every check passes, and the number comes out again."""
    found = verify(row, CPU)
    assert [(check.what, check.level.value) for check in found.checks] == [
        (name, "pass")
        for name in ("row", "suite", "data", "weights", "fingerprint", "evidence", "clean", "breaks", "counts")
    ]
    assert not found.failed
    assert found.n_robust == found.headline == leaderboard.read(row).n_robust < 64
    assert found.marginal == ()


def test_progress_counts_every_input(row):
    """Clean inputs and breaks, told before and while they are judged."""
    told = []
    verify(row, CPU, begin=told.append, advance=told.append)
    assert told[0] == 64 + len(breaks_of(row)) == sum(told[1:])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.98])
def test_a_changed_byte_of_the_evidence_is_found(row, share):
    """Wherever it is."""
    path = evidence_path(row)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    names, says = failed(row)
    assert names[0] == "evidence" and "was changed after its row was written" in says


def test_missing_evidence_is_found(row):
    """A row that points to nothing does not hold."""
    evidence_path(row).unlink()
    names, says = failed(row)
    assert names[0] == "evidence" and "is missing" in says


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n_robust": 57', '"n_robust": 58'),
        ('"threat_model": "Linf:1/10"', '"threat_model": "Linf:1/9"'),
        ('"suite": "quick-v1"', '"suite": "quick-v2"'),
        ('"model": "pgd-at"', '"model": "pgd-az"'),
        ('"seed": 0', '"seed": 1'),
        ('"engine"', '"engine" '),
        ('"n_nonfinite": 0', '"n_nonfinite": 1'),
        ('"steps": 20', '"steps": 21'),
        ('"checksum": "', '"checksum": "0'),
        ('"provenance": {', '"provenance":  {'),
    ],
)
def test_a_changed_byte_of_the_row_is_found(row, old, new):
    """Counts, epsilon, suite, parameters, and what no count depends on."""
    text = row.read_text()
    old = old.replace("57", str(leaderboard.read(row).result.n_robust))
    assert text.count(old) >= 1
    row.write_text(text.replace(old, new, 1))
    names, says = failed(row)
    assert (names == ["row"] and "changed after it was written" in says) or "contradicts itself" in says


def test_a_row_without_its_checksum_is_found(row):
    """Whoever removes it has something to hide."""
    value = json.loads(row.read_text())
    del value["checksum"]
    row.write_text(json.dumps(value, indent=1) + "\n")
    names, says = failed(row)
    assert names == ["row"] and "checksum is gone" in says


def test_a_smaller_epsilon_is_found_by_a_forgers_row_too(row, board):
    """With all digests made to fit, the breaks lie outside the ball; and the row lies in the wrong folder."""
    forge(row, threat_model="Linf:1/20")
    names, says = failed(row)
    assert names == ["row", "breaks", "counts"]
    assert "not where it belongs: expected quick-v1/digits/Linf-1_20" in says and "outside the ball" in says


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (lambda it: {"digests": dataclasses.replace(it.digests, suite="0" * 64)}, "suite", "digest"),
        (lambda it: {"digests": dataclasses.replace(it.digests, dataset="0" * 64)}, "data", "but the row says 0000"),
        (lambda it: {"digests": dataclasses.replace(it.digests, model="0" * 64)}, "weights", "is about 0000"),
        (lambda it: {"suite": "no-suite-v1"}, "suite", "Unknown suite"),
        (
            lambda it: {
                "result": dataclasses.replace(
                    it.result,
                    attacks=(
                        dataclasses.replace(it.result.attacks[0], parameters={"step_size": 2}),
                        *it.result.attacks[1:],
                    ),
                )
            },
            "suite",
            "the parameters of fgsm are not those of quick-v1",
        ),
    ],
)
def test_what_was_evaluated_is_held_against_what_is_here(row, change, name, message):
    """Suite, parameters, data and weights, each by name, though the checksum fits."""
    forge(row, **change(leaderboard.read(row)))
    names, says = failed(row)
    assert name in names and message in says


def test_a_changed_published_suite_is_found(row, board):
    """The board's own definition of the suite is held against the row."""
    path = board / "quick-v1" / "suite.json"
    path.write_text(path.read_text().replace('"steps": 20', '"steps": 19'))
    names, says = failed(row)
    assert names == ["suite"] and "is not the one published in" in says


def test_other_weights_are_found_and_not_asked(row, tmp_path):
    """One weight of the shipped file, changed: named, and no verdict is made of it."""
    from safetensors.torch import load_file, save_file

    from bench.models.store import model_folder

    state = load_file(model_folder("pgd-at") / "digits.safetensors")
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name].view(-1)[0] += 1
    save_file(state, tmp_path / "changed.safetensors")
    found = verify(row, Lookup(device="cpu", model="pgd-at", weights=tmp_path / "changed.safetensors"))
    checks = {check.what: check for check in found.checks}
    assert checks["weights"].level is Level.FAIL and "but the row is about" in checks["weights"].evidence
    assert checks["breaks"].level is Level.NOT_APPLICABLE and found.n_robust is None


def test_a_changed_byte_of_the_shipped_weights_is_found(row, tmp_path, monkeypatch):
    """The manifest's sha256 tells."""
    from bench.models import store

    shutil.copytree(store.model_folder("pgd-at"), tmp_path / "checkpoints" / "pgd-at")
    path = tmp_path / "checkpoints" / "pgd-at" / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(store, "root", lambda: tmp_path / "checkpoints")
    names, says = failed(row)
    assert names == ["weights"] and "the file is damaged or another one" in says


def test_breaks_that_do_not_hold_are_found(row):
    """Classified correctly, too far away, or of another class: a forger's digests do not help."""
    real = breaks_of(row)
    assert real.rounded[0], "a break that is stored as a step in 8 bits"
    for change, message in (
        ({"deltas": np.zeros_like(real.deltas)}, "is classified correctly"),
        ({"deltas": np.clip(real.deltas.astype(int) * 2, -127, 127).astype(np.int8)}, "is outside the ball"),
        ({"labels": real.labels + 1}, "has another true class"),
    ):
        forge(row, breaks=Breaks(**{**real.arrays, **change}))
        names, says = failed(row)
        assert names == ["breaks", "counts"] and message in says
        assert str(real.indices[0]) in says


def test_verdicts_and_breaks_must_be_about_the_same_examples(row):
    """A broken example called robust has a break too many; a robust one called broken has none."""
    broken = breaks_of(row).indices.tolist()
    robust = next(index for index in range(64) if index not in broken)
    whole = row.read_text()
    for index, verdict, message in ((broken[0], True, "does not call broken"), (robust, False, "no break of examples")):
        forge(row, result=with_verdicts(row, index, verdict))
        names, says = failed(row)
        assert "evidence" in names and f"{message}" in says and f": {index}" in says
        row.write_text(whole)


def test_clean_verdicts_are_made_again(row):
    """An example called misclassified that is not."""
    broken = breaks_of(row).indices.tolist()
    robust = next(index for index in range(64) if index not in broken)
    result = with_verdicts(row, robust, False)
    clean = [index != robust for index in range(64)]
    forge(row, result=dataclasses.replace(result, clean=pack_verdicts(clean), n_clean=63))
    names, says = failed(row)
    assert names == ["clean", "counts"] and f"examples {robust}" in says


def test_margins_are_held_against_verdicts(row):
    """A best margin below zero for an example that withstood everything is a contradiction."""
    record = leaderboard.read(row)
    first = record.result.attacks[0]
    margins = list(unpack_margins(first.best_margin, 64))
    robust = next(index for index, verdict in enumerate(record.result.robust_verdicts(first)) if verdict)
    margins[robust] *= -1
    attacks = (dataclasses.replace(first, best_margin=pack_margins(margins)), *record.result.attacks[1:])
    forge(row, result=dataclasses.replace(record.result, attacks=attacks))
    names, says = failed(row)
    assert names == ["row"] and f"best margins of fgsm contradict its verdicts on examples {robust}" in says


def test_an_old_row_says_what_cannot_be_verified(row):
    """No evidence and no checksum: clean verdicts are judged, the breaks are not, and that is said."""
    value = json.loads(row.read_text())
    for name in ("evidence", "checksum", "card"):
        value.pop(name, None)
    row.write_text(json.dumps({**value, "schema_version": 1}, indent=1) + "\n")
    found = verify(row, CPU)
    checks = {check.what: check for check in found.checks}
    assert not found.failed and found.n_robust is None
    assert checks["row"].level is Level.WARN and "version 1" in checks["row"].evidence
    assert (
        checks["evidence"].level is Level.NOT_APPLICABLE and "written without evidence" in checks["evidence"].evidence
    )
    assert checks["clean"].level is Level.PASS and "breaks" not in checks


def test_a_row_of_a_model_or_data_of_ones_own_asks_for_them(row):
    """Nothing in a row is ever executed: the user says where model and data are."""
    for change, message in (({"model": "net-make-1234"}, "--model FILE.py"), ({"dataset": "npz-a"}, "--dataset FILE")):
        whole = row.read_text()
        forge(row, **change)
        with pytest.raises(BenchError, match=message):
            verify(row, CPU)
        row.write_text(whole)


def test_verifying_runs_no_attack(row, monkeypatch):
    """Forward passes alone."""

    def refuse(*_, **__):
        raise AssertionError("no attack may run")

    monkeypatch.setattr("torch.autograd.grad", refuse)
    monkeypatch.setattr("torch.Tensor.backward", refuse)
    assert not verify(row, CPU).failed


def test_a_row_may_be_verified_from_a_copy(row, tmp_path):
    """A row and its evidence that lie side by side anywhere."""
    link = leaderboard.read(row).evidence
    shutil.copy(row, tmp_path / "mine.json")
    shutil.copy(path_of(row, EvidenceKind.OWN, link), path_of(tmp_path / "mine.json", EvidenceKind.OWN, link))
    assert not verify(tmp_path / "mine.json", CPU).failed


def test_what_cannot_be_read_is_the_users_error(tmp_path):
    """A missing file, no JSON, a later version: exit code 2, not a finding."""
    for content in (None, "{", '{"schema_version": 99}'):
        path = Path(tmp_path / "row.json")
        if content is not None:
            path.write_text(content)
        with pytest.raises(BenchError) as caught:
            verify(path, CPU)
        assert caught.value.exit_code == 2


NET = """
import os

import torch
from torch import nn


class Net(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs.flatten(1) * float(os.environ.get("BX_FACTOR", "1")))


def make():
    torch.manual_seed(0)
    return Net(64, 10)
"""


@pytest.fixture
def own_row(tmp_path, monkeypatch):
    """A row about a model of one's own, and how to find it."""
    monkeypatch.delenv("BX_FACTOR", raising=False)
    (tmp_path / "net.py").write_text(NET)
    request = RunRequest(
        model=f"{tmp_path / 'net.py'}:make",
        dataset="digits",
        suite="quick-v1",
        samples=32,
        device="cpu",
        leaderboard=tmp_path / "own",
        journal=tmp_path / "journal",
    )
    return run(request).path, Lookup(model=request.model, device="cpu")


def test_a_changed_source_is_a_remark_where_the_function_is_the_same(own_row, tmp_path):
    """The fingerprint decides."""
    row, lookup = own_row
    (tmp_path / "net.py").write_text(NET + "\n# renamed nothing, computes the same\n")
    found = verify(row, lookup)
    statuses = {check.what: check.level.value for check in found.checks}
    assert not found.failed and (statuses["weights"], statuses["fingerprint"]) == ("warn", "pass")


def test_another_function_of_the_same_weights_is_found(own_row, monkeypatch):
    """Also one whose verdicts are the same: inputs a thousandth larger."""
    row, lookup = own_row
    monkeypatch.setenv("BX_FACTOR", "1.001")
    found = verify(row, lookup)
    checks = {check.what: check for check in found.checks}
    assert found.failed and checks["weights"].level.value == "pass"
    assert checks["fingerprint"].level.value == "fail"
    assert "is another function: logits on fixed inputs differ by 0.00" in checks["fingerprint"].evidence
    assert found.n_robust is None and "the model was not asked" in found.checks[-1].evidence


def test_a_row_without_fingerprint_is_verified_as_before(own_row):
    """It is unknown then, which is no failure."""
    row, lookup = own_row
    record = leaderboard.read(row)
    old = dataclasses.replace(record, fingerprint=None, schema_version=2)
    row.write_text(dump_row(old))
    found = verify(row, lookup)
    statuses = {check.what: check.level.value for check in found.checks}
    assert statuses["row"] == "pass", "a checksum, and byte for byte what its version wrote"
    assert statuses["fingerprint"] == "not applicable" and not found.failed and found.n_robust == record.n_robust
