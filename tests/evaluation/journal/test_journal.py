"""What is done stays done, for the run that did it and no other."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core import digest
from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import Header, InputDigests, default_journal, evaluate, make_plan, result_of
from bench.evaluation.journal.chunks import chunks_of
from bench.evaluation.journal.journal import open_journal
from bench.evaluation.results import StageResult
from bench.row.fingerprint import Fingerprint
from bench.row.packing import pack_logits, unpack_logits
from bench.row.result import Diagnostic

ROOT = Path(__file__).resolve().parents[3]
KILLABLE = Path(__file__).with_name("killable.py")


def _start(journal: Path | str, out: Path, pause: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(KILLABLE), str(journal), str(out), str(pause)]
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL after the header, amid the first attack and amid the last; then the result of an uninterrupted run.

    The journal is named as a file:// URL, which is the same folder with the same lock.
    """
    reference = tmp_path / "reference"
    assert _start(tmp_path / "whole", reference, 0).wait(timeout=300) == 0
    journal, out = tmp_path / "killed", tmp_path / "out"
    for enough in (0, 8, 14):
        process = _start(journal.as_uri(), out, 1.0)
        deadline = time.monotonic() + 300
        while len(list(journal.glob("*/*.json"))) < enough or not (journal / "header.json").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in journal.glob("*/*.json")}
    assert 14 <= len(kept) < 18
    assert _start(journal.as_uri(), out, 0).wait(timeout=300) == 0
    assert out.read_text() == reference.read_text()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.json"))


@pytest.fixture
def finished(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> Path:
    """The journal of a finished run."""
    folder = tmp_path / "journal"
    evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=folder)
    assert len(_entries(folder)) == 3 * 4
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda content: content.replace(b"true", b"false", 1),
        lambda _: b"\xff\xfe",
    ],
)
def test_a_damaged_entry_is_done_again(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, damage: Any
) -> None:
    """Cut short, emptied, altered or garbled: the entry is as good as absent, and the result is the same."""
    path = finished / "fgsm" / "000001-64-127.json"
    before = path.read_bytes()
    other = finished / "fgsm" / "000000-0-63.json"
    untouched = other.stat().st_mtime_ns
    path.write_bytes(damage(before))
    found = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=finished)
    fresh = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite)
    assert result_of(found) == result_of(fresh)
    assert path.read_bytes() != damage(before) and other.stat().st_mtime_ns == untouched


def test_more_examples_reuse_the_full_chunks(
    tmp_path: Path, linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """100 examples, then 200: the first chunk is not attacked again, the partial one is its own entry."""
    attacked: list[int] = []

    def note(_: Any, part: Examples, __: Any) -> torch.Tensor:
        attacked.extend(part.indices.tolist())
        return part.inputs

    suite, folder = make["suite"](make["Scripted"](act=note)), tmp_path / "journal"
    evaluate(linear, examples[:100], threat_model=threat_model, suite=suite, journal=folder)
    attacked.clear()
    evaluate(linear, examples, threat_model=threat_model, suite=suite, journal=folder)
    assert attacked and min(attacked) >= 64
    names = [path.name for path in _entries(folder) if path.parent.name == "scripted"]
    assert {"000000-0-63.json", "000001-64-99.json", "000001-64-127.json", "000003-192-199.json"} <= set(names)


def test_a_journal_of_another_run_is_refused_by_name(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, make: Any
) -> None:
    """Model, epsilon, dataset, seed, suite, parameters: the message names what differs, with both values."""
    identity = InputDigests(model="m" * 64, factory="f" * 64, dataset="d" * 64)
    other_model = make["Linear"]()
    with torch.no_grad():
        other_model.bias += 1
    usual = {"threat_model": threat_model, "suite": gradient_suite}
    cases: list[tuple[nn.Module, dict[str, Any], str]] = [
        (other_model, usual, r"model \(\w{12} there, \w{12} here\)"),
        (linear, {**usual, "threat_model": "Linf:8/255"}, r"threat_model \(Linf:1/20 there, Linf:8/255 here\)"),
        (linear, {**usual, "seed": 1}, r"seed \(0 there, 1 here\)"),
        (linear, {**usual, "batch_size": 128}, r"batch_size \(64 there, 128 here\)"),
        (linear, {**usual, "identity": identity}, "dataset .*d{12}"),
        (linear, {**usual, "suite": "quick"}, r"suite \(test-v1 there, quick-v1 here\)"),
        (
            linear,
            {**usual, "suite": make["suite"](FGSM(), PGD(steps=6))},
            r"attacks\.pgd-20\.steps \(5 there, 6 here\)",
        ),
    ]
    before = {path: path.read_bytes() for path in _entries(finished)}
    for module, arguments, message in cases:
        with pytest.raises(BenchError, match=message) as caught:
            evaluate(module, examples, journal=finished, **arguments)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert {path: path.read_bytes() for path in _entries(finished)} == before


def test_other_inputs_under_the_same_names_are_refused(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Even where nobody told the dataset's digest, a chunk's inputs are checked."""
    changed = Examples(inputs=examples.inputs.clamp(0.3), labels=examples.labels, indices=examples.indices)
    with pytest.raises(BenchError, match="other examples 0:64"):
        evaluate(linear, changed, threat_model=threat_model, suite=gradient_suite, journal=finished)


def test_changed_code_is_another_run(
    finished: Path,
    linear: nn.Module,
    examples: Examples,
    gradient_suite: Any,
    threat_model: ThreatModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A journal made by other sources of attacks, evaluation or ops is not continued."""
    monkeypatch.setattr("bench.evaluation.plan.code_digest", lambda: "0" * 64)
    with pytest.raises(BenchError, match=r"code \(\w{12} there, 000000000000 here\)"):
        evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=finished)


def test_a_resumed_run_takes_the_batch_size_of_its_journal(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Who names no batch size continues with the one that the journal was made with."""
    folder, usual = tmp_path / "journal", {"threat_model": threat_model, "suite": gradient_suite}
    evaluate(linear, examples, **usual, journal=folder, batch_size=128)
    assert evaluate(linear, examples, **usual, journal=folder).header.batch_size == 128


def test_a_second_process_is_refused(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """One journal, one process; the lock goes with the holder."""
    header = make_plan(linear, examples, threat_model=threat_model, suite=gradient_suite).header
    with (
        open_journal(tmp_path / "journal", header),
        pytest.raises(BenchError, match="in use by another"),
        open_journal(tmp_path / "journal", header),
    ):
        pass
    with open_journal(tmp_path / "journal", header) as again:
        assert again.header == header


def test_what_a_killed_run_left_half_written_goes(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """With the next run; a lock whose process is gone keeps nobody out, nor does one that the system took away."""
    left = [finished / ".header.json.abcd_123.tmp", finished / "fgsm" / ".000000-0-63.json.abcd_123.tmp"]
    for each in left:
        each.touch()
    (finished / ".lock").unlink()
    evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=finished)
    assert not any(each.exists() for each in left)
    assert len(_entries(finished)) == 3 * 4


def test_folders_that_are_no_journal_are_left_alone(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """A folder with other things, and a journal whose header is damaged, are refused untouched."""
    header = make_plan(linear, examples, threat_model=threat_model, suite=gradient_suite).header
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BenchError, match="holds no journal"), open_journal(tmp_path, header):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    folder = tmp_path / "journal"
    evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=folder)
    (folder / "header.json").write_text("damaged")
    with pytest.raises(BenchError, match="lost its header"), open_journal(folder, header):
        pass


def test_a_full_disk_keeps_what_was_finished(
    tmp_path: Path,
    linear: nn.Module,
    examples: Examples,
    gradient_suite: Any,
    threat_model: ThreatModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 3 and a line that says so; with space again, the run goes on and gives the same result."""
    folder, sync, left = tmp_path / "journal", os.fsync, [15]

    def fill(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(WorkFailedError, match="No space left") as caught:
        evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=folder)
    assert caught.value.exit_code == 3
    monkeypatch.setattr(os, "fsync", sync)
    kept = _entries(folder)
    assert 0 < len(kept) < 12
    found = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=folder)
    assert result_of(found) == result_of(evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite))


def test_the_default_place_is_the_users_cache_by_digest(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Every field of the header leads to another folder; more examples do not."""
    header = make_plan(linear, examples, threat_model=threat_model, suite=gradient_suite).header
    place = default_journal(header)
    assert place.name.startswith("test-v1-Linf-1_20-") and place.parent.name == "journals"
    assert default_journal(dataclasses.replace(header, seed=1)) != place
    fewer = make_plan(linear, examples[:50], threat_model=threat_model, suite=gradient_suite)
    assert default_journal(fewer.header) == place


def test_findings_of_the_doctor_are_kept_by_examples_form_and_verdicts(
    tmp_path: Path, linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """What was found of some examples is not what is found of others, in another form, or after another suite."""
    header = make_plan(linear, examples, threat_model=threat_model, suite=make["suite"](FGSM()), device="cpu").header
    found = (Diagnostic(id="R5", status="pass", statistic=None, threshold=0.5, evidence="So it is.", next=""),)
    left = [True] * 3 + [False] * 29
    with open_journal(tmp_path / "journal", header) as journal:
        journal.write_findings(examples[:32], "short", left, found)
    with open_journal(tmp_path / "journal", header) as journal:
        assert journal.read_findings(examples[:32], "short") == found
        assert journal.read_findings(examples[:32], "short", left) == found
        assert journal.read_findings(examples[:32], "short", [False] * 32) is None
        assert journal.read_findings(examples[:31], "short") is None
        assert journal.read_findings(examples[32:64], "short") is None
        assert journal.read_findings(examples[:32], "long") is None
        changed = Examples(inputs=1 - examples.inputs[:32], labels=examples.labels[:32], indices=examples.indices[:32])
        assert journal.read_findings(changed, "short") is None


class Parts(nn.Module):
    """One way for each thing that decides about a function and is in neither state nor source."""

    factor = 1.0

    def __init__(self, way: str, factor: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(16, 2, generator=generator))
        self.register_buffer("scale", torch.ones(()), persistent=False)
        self.number = 1.0
        self.members: list[nn.Module] = []
        self.act = lambda inputs: inputs
        if way == "attribute":
            self.number = factor
        elif way == "list":
            layer = nn.Linear(16, 16, bias=False).requires_grad_(False)
            layer.weight.copy_(factor * torch.eye(16))
            self.members.append(layer)
        elif way == "closure":
            self.act = lambda inputs: factor * inputs
        elif way == "buffer":
            self.scale.fill_(factor)
        elif way == "class":
            type(self).factor = factor
        elif way == "environment":
            os.environ["BENCH_TEST_FACTOR"] = str(factor)
        elif way == "noise":
            # Only what no clean image has: two neighbours that are far apart.
            self.act = lambda inputs: torch.where(
                (inputs[..., 1:] - inputs[..., :-1]).abs().amax((1, 2, 3), keepdim=True) > 0.65, factor * inputs, inputs
            )
        elif way == "nan":
            self.act = lambda inputs: torch.where(inputs > 0.9 * factor, torch.nan, inputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self.act(inputs).flatten(1) - 0.5
        for member in self.members:
            inputs = member(inputs)
        factor = float(os.environ.get("BENCH_TEST_FACTOR", "1"))
        return factor * self.factor * self.number * self.scale * inputs @ self.weight + torch.tensor([1.0, 0.0])


@pytest.mark.parametrize("way", ["attribute", "list", "closure", "buffer", "class", "environment", "noise", "nan"])
def test_another_function_of_the_same_weights_and_source_is_refused(
    tmp_path: Path,
    examples: Examples,
    gradient_suite: Any,
    threat_model: ThreatModel,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """By its logits on fixed inputs; the function that the journal is of goes on, also as another object."""
    monkeypatch.setenv("BENCH_TEST_FACTOR", "1")
    monkeypatch.setattr(Parts, "factor", 1.0)
    usual = {"threat_model": threat_model, "suite": gradient_suite, "journal": tmp_path / "journal"}
    first = result_of(evaluate(Parts(way, 1.0), examples, **usual))
    stamps = {path: path.stat().st_mtime_ns for path in _entries(tmp_path / "journal")}
    other = Parts(way, 0.5)
    with pytest.raises(
        BenchError, match=r"made for another run: fingerprint \(logits .*; to start afresh: rm -r "
    ) as caught:
        evaluate(other, examples, **usual)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert result_of(evaluate(Parts(way, 1.0), examples, **usual)) == first
    assert {path: path.stat().st_mtime_ns for path in _entries(tmp_path / "journal")} == stamps


class Remembered(nn.Module):
    """A linear model that gives some inputs, to the bit, the logits of their opposites."""

    def __init__(self, linear: nn.Module, inputs: torch.Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.inputs = [inputs.flatten(1)]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        known = (inputs.flatten(1)[:, None] == self.inputs[0]).all(2).any(1, keepdim=True)
        return torch.where(known, self.linear(1 - inputs), self.linear(inputs))


@pytest.mark.parametrize("where", ["clean", "fgsm"])
def test_a_function_that_differs_where_no_fingerprint_looks_is_refused(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, where: str
) -> None:
    """On later images, or on what attacks found: what the journal holds of them is asked again; one may be rounding."""
    usual = {"threat_model": threat_model, "suite": gradient_suite, "journal": tmp_path / "journal"}
    first = evaluate(Remembered(linear, examples.inputs[:0]), examples, **usual)
    clean = examples.inputs[torch.from_numpy(first.breaks.indices)]
    found = examples.inputs[40:] if where == "clean" else torch.from_numpy(first.breaks.inputs(clean.numpy()))
    assert len(found) > 2
    with pytest.raises(BenchError, match=rf"on \d+ stored inputs of {where} .* other logits") as caught:
        evaluate(Remembered(linear, found), examples, **usual)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    for same in (examples.inputs[:0], found[-1:]):
        assert result_of(evaluate(Remembered(linear, same), examples, **usual)) == result_of(first)


def _with_logits(header: Header, factor: float) -> Header:
    """The header of a journal that a machine left whose logits are larger."""
    assert header.fingerprint is not None
    logits = {
        name: pack_logits([factor * value for value in unpack_logits(text)])
        for name, text in header.fingerprint.logits.items()
    }
    return dataclasses.replace(header, fingerprint=Fingerprint(logits=logits))


@pytest.mark.parametrize(("factor", "fine"), [(1 + 2e-5, True), (1 + 2e-3, False)])
def test_rounding_on_another_machine_is_no_other_function(
    tmp_path: Path,
    linear: nn.Module,
    examples: Examples,
    gradient_suite: Any,
    threat_model: ThreatModel,
    factor: float,
    fine: bool,
) -> None:
    """The fingerprint decides about a resume, but neither about the digest of a header nor about the default folder."""
    usual = {"threat_model": threat_model, "suite": gradient_suite}
    header = evaluate(linear, examples, **usual, journal=tmp_path / "first").header
    there = _with_logits(header, factor)
    assert there.digest == header.digest and default_journal(there) == default_journal(header)
    with open_journal(tmp_path / "second", there):
        pass
    with contextlib.nullcontext() if fine else pytest.raises(BenchError, match=r"fingerprint \(logits on fixed inputs"):
        evaluate(linear, examples, **usual, journal=tmp_path / "second")


def test_a_journal_without_fingerprint_is_not_believed(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """What was done in it may be of any function of these weights; where nothing was, there is nothing to believe."""
    usual = {"threat_model": threat_model, "suite": gradient_suite}
    header = make_plan(linear, examples, **usual).header
    with open_journal(tmp_path / "empty", header):
        pass
    evaluate(linear, examples, **usual, journal=tmp_path / "empty")
    with open_journal(tmp_path / "journal", header) as journal:
        (chunk,) = chunks_of(range(64))
        verdicts = (True,) * 64
        found = StageResult(
            name="clean",
            attacked=verdicts,
            robust=verdicts,
            margin=(1.0,) * 64,
            finite=verdicts,
            right=(1,) * 64,
            moved=(False,) * 64,
            claimed=(False,) * 64,
            rejected=(False,) * 64,
            batch_size=64,
        )
        journal.write("clean", chunk, found, inputs="")
    with pytest.raises(BenchError, match=r"fingerprint \(absent on one side\)"):
        evaluate(linear, examples, **usual, journal=tmp_path / "journal")


def test_other_parts_of_the_examples_go_into_one_journal(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, make: Any
) -> None:
    """The last chunks first, then all: of the fixed inputs, those that two runs have in common are compared."""
    usual = {"threat_model": threat_model, "suite": gradient_suite, "journal": tmp_path / "journal"}
    evaluate(linear, examples[128:], **usual)
    found = evaluate(linear, examples, **usual)
    assert found.robust == evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite).robust

    class Half(make["Linear"]):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs * self.strength)

    half = Half()
    half.strength = 1.0
    evaluate(half, examples[128:], **{**usual, "journal": tmp_path / "half"})
    half.strength = 0.5
    with pytest.raises(BenchError, match="fingerprint"):
        evaluate(half, examples[:64], **{**usual, "journal": tmp_path / "half"})


def test_a_model_that_fails_or_draws_is_told_so_before_its_journal(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Not that its journal is another run's."""

    class Wrapped(nn.Module):
        def __init__(self, wrap: Any) -> None:
            super().__init__()
            self.inner, self.wrap = linear, wrap

        def forward(self, inputs: torch.Tensor) -> Any:
            return self.wrap(self.inner(inputs))

    def fails(logits: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such layer")

    usual = {"threat_model": threat_model, "suite": gradient_suite, "journal": finished}
    with pytest.raises(BenchError, match="different logits for the same inputs"):
        evaluate(Wrapped(lambda logits: logits + torch.rand_like(logits)), examples, **usual)
    with pytest.raises(BenchError, match="got a tuple"):
        evaluate(Wrapped(lambda logits: (logits, logits)), examples, **usual)
    with pytest.raises(BenchError, match=r"The model fails on images of shape .* no such layer"):
        evaluate(Wrapped(fails), examples, **usual)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(attacked=entry["attacked"][:-1]),
        lambda entry: entry.update(robust=[True] * 64, margin=[-1.0] * 64),
        lambda entry: entry.update(robust=[False] * 64, margin=[1.0] * 64),
        lambda entry: entry.update(margin=[0.0] * 64, attacked=[False] * 64),
        lambda entry: entry.update(moved=[True] * 64),
        lambda entry: entry.update(claimed=[False] * 65),
        lambda entry: entry.update(rejected=1),
        lambda entry: entry.update(forwards=-1),
        lambda entry: entry.update(batch_size=0),
        lambda entry: entry.update(seconds=-0.5),
        lambda entry: entry.update(seconds=10**400),
        lambda entry: entry.update(margin=[float("nan")] * 64),
        lambda entry: entry.update(breaks="bm8="),
        lambda entry: entry.update(breaks=None),
        lambda entry: entry.pop("inputs"),
        lambda entry: entry.update(extra=1),
    ],
)
def test_an_entry_that_is_whole_and_cannot_be_is_refused(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, change: Any
) -> None:
    """Its checksum fits, so that no crash made it: lengths, signs, counts or breaks that no stage leaves behind."""
    path = finished / "fgsm" / "000001-64-127.json"
    entry = json.loads(path.read_bytes().partition(b"\n")[2])
    change(entry)
    body = json.dumps(entry).encode()
    path.write_bytes(digest.of_bytes(body).encode() + b"\n" + body + b"\n")
    with pytest.raises(BenchError, match=r"000001-64-127\.json is whole, but no run of bench wrote it"):
        evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=finished)


def test_breaks_of_examples_that_an_entry_does_not_call_broken_are_refused(
    finished: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Those of another chunk, sealed as this one's."""
    entries = {path: json.loads(path.read_bytes().partition(b"\n")[2]) for path in _entries(finished)}
    path, other = [path for path, entry in entries.items() if entry.get("breaks")][:2]
    assert path.parent == other.parent
    body = json.dumps({**entries[path], "breaks": entries[other]["breaks"]}).encode()
    path.write_bytes(digest.of_bytes(body).encode() + b"\n" + body + b"\n")
    with pytest.raises(BenchError, match="breaks of the broken examples alone"):
        evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, journal=finished)
