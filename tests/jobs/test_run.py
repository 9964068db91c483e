from __future__ import annotations

import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from bench import data, leaderboard
from bench.acceleration.forms import Bfloat16
from bench.core.errors import BenchError
from bench.diagnostics import diagnose_briefly, quick
from bench.evaluation import evaluate_plan, search_precision, settled
from bench.evaluation.execution.process_pool import ProcessPool
from bench.jobs.findings import find
from bench.jobs.request import resolve
from bench.jobs.run import Outcome, RunRequest, executor_of, run
from bench.row.serialization import dump_row, result_bytes
from bench.storage.atomic_write import check_writable

NET = """
import torch
from torch import nn


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(64, 10)

    def forward(self, inputs):
        logits = self.inner(inputs.flatten(1))
        # Off the pixel grid, where no clean image lies, it answers with NaN.
        on_grid = (inputs * 16 == (inputs * 16).round()).flatten(1).all(1, keepdim=True)
        return torch.where(on_grid, logits, torch.nan)


def make():
    return Broken()
"""


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return RunRequest(
        model=f"{tmp_path / 'net.py'}:make",
        dataset="digits",
        suite="quick-v1",
        samples=64,
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
        command=("bench", "run", "--model", "a b"),
    )


def test_what_a_row_says(request_):
    """Digests, result, cost and provenance are those of the run."""
    ran = run(request_)
    assert ran.outcome is Outcome.WRITTEN
    row = ran.record
    assert row.result.n_clean == ran.evaluation.n_clean
    assert row.provenance.command == "bench run --model 'a b'"
    assert all(len(digest) == 64 for digest in vars(row.digests).values())
    assert [cost.name for cost in row.cost.attacks] == ["fgsm", "pgd-20", "apgd-ce"]


def test_logits_that_are_not_finite_are_a_warning(request_):
    """A model that answers with NaN is not robust, and the user is told."""
    ran = run(request_)
    assert ran.evaluation.n_clean > 0
    assert ran.record.result.n_robust == 0
    assert any("not finite" in warning for warning in ran.warnings)


def test_progress_reaches_the_end(request_):
    """The listener hears of every attack, and of the last chunk of each."""
    heard = []
    run(replace(request_, samples=100), on_progress=heard.append)
    ended = [event for event in heard if event.chunk == event.n_chunks]
    assert [event.attack for event in ended] == ["clean", "fgsm", "pgd-20", "apgd-ce", "doctor", "evidence"]
    assert [event.unit for event in ended[-3:]] == ["chunk", "check", "file"]
    assert [event.seconds for event in heard] == sorted(event.seconds for event in heard)
    checks = [event.chunk for event in heard if event.attack == "doctor"]
    assert checks == list(range(1, len(quick()) + 1))


def test_the_time_left_has_the_doctor_in_it(request_):
    """After the last attack there is as much left as the doctor's passes take, until it is done; a rerun has none."""
    heard = []
    run(request_, on_progress=heard.append)
    last = next(event for event in heard if event.attack == "apgd-ce" and event.chunk == event.n_chunks)
    assert last.eta is not None and last.eta > 0
    assert heard[-1].eta == 0
    again = []
    run(request_, on_progress=again.append)
    assert not any(event.eta for event in again)


def test_what_the_doctor_found_is_read_from_the_journal(request_, monkeypatch):
    """On a rerun and by another board; to the byte. Of other examples, or in another form, it is found anew."""
    first = run(request_)
    looks = []

    def looking(module, examples, **options):
        looks.append(len(examples))
        return diagnose_briefly(module, examples, **options)

    monkeypatch.setattr("bench.jobs.findings.diagnose_briefly", looking)
    again = run(replace(request_, leaderboard=request_.leaderboard / "other"))
    assert looks == [] and result_bytes(again.record) == result_bytes(first.record)
    run(replace(request_, samples=20, leaderboard=request_.leaderboard / "fewer"))
    assert looks == [20]
    run(replace(request_, indices="40:90", samples=None, leaderboard=request_.leaderboard / "later"))
    assert looks == [20, 32]
    run(replace(request_, samples=20, leaderboard=request_.leaderboard / "again"))
    assert looks == [20, 32], "what was found of some examples does not replace what was found of others"
    monkeypatch.setattr("bench.jobs.findings.short_form", lambda num_classes, *_: "another code")
    run(request_)
    assert looks == [20, 32, 32]


def test_findings_after_one_suite_are_not_those_after_another(request_, monkeypatch):
    """Suites with the same plain attacks share a journal, and checks that look at what is left robust look again."""
    robust = list(run(request_).record.verdicts())
    other = [not each for each in robust]
    looks = []
    monkeypatch.setattr(
        "bench.jobs.findings.diagnose_briefly", lambda *_, **options: looks.append(options["robust"]) or ()
    )
    resolved = resolve(request_, lambda line: None)
    for left in (robust, other):
        evaluation = SimpleNamespace(header=resolved.plan.header, robust=left)
        find(resolved, 64, evaluation, closing=SimpleNamespace(notify=lambda *_, **__: None, examined=None))
    assert looks == [other[:32]]


def test_damaged_findings_are_found_again(request_):
    """As any entry of a journal whose checksum does not fit."""
    first = run(request_)
    (path,) = request_.journal.glob("doctor/*.json")
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"fail"'))
    assert result_bytes(run(request_).record) == result_bytes(first.record)
    assert b'"pass"' in path.read_bytes()


def test_findings_that_lack_a_check_are_not_kept(request_, monkeypatch):
    """The next run shall try it again."""

    def boom(*_args, **_options):
        raise OverflowError

    with monkeypatch.context() as patch:
        patch.setattr("bench.diagnostics.checks.r08_fidelity.slope", boom)
        assert "R8" in run(request_).record.unfinished
    assert not list(request_.journal.glob("doctor/*"))
    assert run(request_).record.unfinished == {}


def test_nothing_is_made_when_writability_is_checked(tmp_path):
    """The check looks at the nearest folder that exists."""
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "b")


def test_a_row_holds_the_short_form_of_the_doctor(request_):
    """The row of a model that answers NaN says so, warns, and is an upper bound only; its verdicts are kept."""
    ran = run(request_)
    found = {each.id: each for each in ran.record.result.diagnostics}
    assert found["R4"].status == "fail" and found["R5"].status == "pass"
    assert {"R1", "R2", "R3", "R8", "R10", "R19"} <= found.keys()
    assert ran.record.upper_bound_only
    assert any(warning.startswith("Check R4 failed") for warning in ran.warnings)


def test_a_resumed_run_stores_the_same_result(request_):
    """Byte for byte, diagnostics included; a second journal changes nothing either."""
    first = run(request_)
    resumed = run(replace(request_, leaderboard=request_.leaderboard / "other"))
    anew = run(replace(request_, journal=request_.journal / "other", leaderboard=request_.leaderboard / "third"))
    assert result_bytes(first.record) == result_bytes(resumed.record) == result_bytes(anew.record)


def test_a_row_from_before_the_doctor_is_completed(request_):
    """One that reproduces all else gets the diagnostics, without force."""
    first = run(request_)
    old = replace(first.record, result=replace(first.record.result, diagnostics=()))
    first.path.write_text(dump_row(old))
    assert run(request_).outcome is Outcome.COMPLETED
    assert leaderboard.read(first.path).result == first.record.result
    assert run(request_).outcome is Outcome.REPRODUCES


GREY = """
import torch
from torch import nn


class Grey(nn.Module):
    \"\"\"Class k for images of grey level 20 k.\"\"\"

    def __init__(self, scale):
        super().__init__()
        self.register_buffer("levels", 20.0 * torch.arange(12))
        self.scale = scale

    def forward(self, inputs):
        return -((inputs.mean((1, 2, 3))[:, None] * self.scale - self.levels) ** 2) / 100


def make():
    return Grey(255)


def expects_bytes():
    return Grey(1)
"""


def _greys(root, names):
    """Three images for each class; the class at place k has grey level 20 k."""
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), 20 * place).save(root / name / f"{number}.png")
    return f"folder:{root}"


@pytest.fixture
def greys(tmp_path):
    """A request for the model of grey levels, which is perfect."""
    (tmp_path / "grey.py").write_text(GREY)
    return RunRequest(
        model=f"{tmp_path / 'grey.py'}:make",
        dataset=_greys(tmp_path / "twelve", [str(number) for number in range(12)]),
        suite="quick-v1",
        threat_model="Linf:1/255",
        device="cpu",
        leaderboard=tmp_path / "board",
        journal=tmp_path / "journal",
    )


def test_a_perfect_model_is_perfect_on_folders_of_numbers(greys):
    """0 to 11 in this order, and the user hears of it."""
    told = []
    ran = run(greys, notify=told.append)
    assert (ran.evaluation.n_clean, ran.evaluation.n_robust) == (36, 36)
    assert any("ordered by number" in line for line in told)
    assert not any("R19" in warning for warning in ran.warnings)


def test_a_perfect_model_is_perfect_on_some_of_its_classes(greys, tmp_path):
    """With their names in its order; without, the error says how."""
    for number in (1, 4, 7):
        shutil.rmtree(tmp_path / "twelve" / str(number))
    with pytest.raises(
        BenchError, match=r"Expected 9 logits, .* but got 12\. Labels run from 0 to 8 .*--class-names FILE"
    ):
        run(greys)
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{number}\n" for number in range(12)))
    told = []
    ran = run(replace(greys, class_names=names), notify=told.append)
    assert (ran.evaluation.n_clean, ran.evaluation.n_examples) == (27, 27)
    assert "The folders are 9 of 12 classes." in told


def test_a_model_of_other_inputs_is_doubted_aloud(greys):
    """It expects 0 to 255: right on black alone, which is a warning and no failure, in the row too."""
    ran = run(replace(greys, model=greys.model.replace(":make", ":expects_bytes")))
    assert ran.evaluation.n_clean == 3
    (doubt,) = [warning for warning in ran.warnings if "R19" in warning]
    assert "Clean accuracy is 3 of 36" in doubt and "inputs are in [0, 1]" in doubt
    (noted,) = [each for each in ran.record.result.diagnostics if each.id == "R19"]
    assert noted.status == "warn"


@pytest.fixture
def plant_clock(monkeypatch):
    """A clock on which a look takes a millisecond, and a pass in bfloat16 what a test says, less than nothing too.

    From one look to the next it never goes back.
    """
    compute = Bfloat16.forward
    last, now, of_a_pass = 0.0, 0.0, 0.0

    def look():
        nonlocal last, now
        last = now = now + 1e-3
        return now

    def forward(self, inputs):
        nonlocal now
        now = max(now + of_a_pass, last - 9e-4)
        return compute(self, inputs)

    def plant(seconds):
        nonlocal of_a_pass
        of_a_pass = seconds
        monkeypatch.setattr(time, "perf_counter", look)
        monkeypatch.setattr(time, "monotonic", look)
        monkeypatch.setattr(Bfloat16, "forward", forward)

    return plant


QUICKER, SLOWER = -2e-4, 2e-4


@pytest.fixture
def pgd_at(request_):
    """A model that ships, on eight examples."""
    return replace(request_, model="pgd-at", samples=8)


@pytest.mark.parametrize("large", [False, True])
def test_no_clock_decides_a_result(pgd_at, plant_clock, tmp_path, monkeypatch, large):
    """Whichever precision a clock makes look faster: one command, one decision, one result, and the row says why."""
    if large:
        monkeypatch.setattr(search_precision, "_LEAST_OPERATIONS", 0, raising=False)
        monkeypatch.setattr(search_precision, "has_bfloat16", lambda device: True, raising=False)
    rows = []
    for number, seconds in enumerate((QUICKER, 0.0, SLOWER)):
        plant_clock(seconds)
        folder = tmp_path / str(number)
        rows.append(run(replace(pgd_at, journal=folder / "journal", leaderboard=folder / "board")).record)
    assert [row.cost.precision for row in rows] == 3 * ["bf16+float32" if large else "float32"]
    assert len({result_bytes(row) for row in rows}) == 1
    why = "cpu with bfloat16 instructions" if large else "below 4.0 million"
    assert {row.cost.precision_reason for row in rows} == {f"rule: 1.1 million operations an example, {why}"}


@pytest.mark.parametrize(("seconds", "precision"), [(QUICKER, "bf16+float32"), (SLOWER, "float32")])
def test_a_stopwatch_decides_where_it_is_asked_to(pgd_at, plant_clock, seconds, precision):
    """And the row says that it did."""
    plant_clock(seconds)
    cost = run(replace(pgd_at, precision="measured")).record.cost
    assert (cost.precision, cost.precision_reason) == (precision, "measured")


DEFENDED = """
import os
from pathlib import Path

import torch
from torch import nn
from bx_defence import Defence

HERE = Path(__file__).parent


class Net(nn.Module):
    def __init__(self, defence):
        super().__init__()
        self.last = nn.Linear(64, 10)
        self.defence = [defence]

    def forward(self, inputs):
        return self.last(self.defence[0](inputs).flatten(1))


def make():
    return Net(Defence(float(os.environ.get("BX_BLUR", "0")) + float((HERE / "blur.txt").read_text())))
"""
DEFENCE = """
import bx_constants
from torch import nn


class Defence(nn.Module):
    def __init__(self, blur):
        super().__init__()
        self.blur = blur

    def forward(self, inputs):
        blur = self.blur + bx_constants.BLUR
        return (1 - blur) * inputs + blur * inputs.mean((2, 3), keepdim=True)
"""


@pytest.fixture
def defended(request_, tmp_path):
    """A model with fixed weights whose defence lies in other files."""
    torch.manual_seed(0)
    examples = data.load("digits").examples
    means = torch.stack([examples.inputs[examples.labels == label].flatten(1).mean(0) for label in range(10)])
    torch.save({"last.weight": 4 * means, "last.bias": -2 * means.square().sum(1)}, tmp_path / "w.pth")
    for name, text in {
        "net.py": DEFENDED,
        "bx_defence.py": DEFENCE,
        "bx_constants.py": "BLUR = 0.0\n",
        "blur.txt": "0",
    }.items():
        (tmp_path / name).write_text(text)
    return replace(request_, samples=32, weights=tmp_path / "w.pth")


def _constant(folder, monkeypatch):
    (folder / "bx_constants.py").write_text("BLUR = 0.8\n")


def _data(folder, monkeypatch):
    (folder / "blur.txt").write_text("0.8")


def _environment(folder, monkeypatch):
    monkeypatch.setenv("BX_BLUR", "0.8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_constant, r"factory \(\w{12} there, \w{12} here\), fingerprint"),
        (_data, "fingerprint"),
        (_environment, "fingerprint"),
    ],
)
def test_a_changed_function_is_another_run(defended, tmp_path, monkeypatch, change, named):
    """A constant two imports away, a file that the factory reads, the environment: the journal is refused by name.

    A fresh journal gives what that function is worth, and no row of the first one is taken for it.
    """
    first = run(defended)
    change(tmp_path, monkeypatch)
    with pytest.raises(BenchError, match=rf"made for another run: {named} .*; to start afresh: rm -r ") as caught:
        run(defended)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    fresh = run(replace(defended, journal=tmp_path / "fresh"))
    assert fresh.record.result.n_clean < first.record.result.n_clean
    if change is _constant:
        assert fresh.outcome is Outcome.WRITTEN and fresh.path != first.path
    else:
        assert fresh.outcome is Outcome.DIFFERS
        assert fresh.differences[0].startswith("fingerprint: logits on fixed inputs differ by ")
    assert leaderboard.read(first.path) == first.record


def test_a_row_keeps_its_fingerprint_and_old_rows_get_one(defended):
    """Whoever runs an old row again completes it; the result is the same."""
    ran = run(defended)
    fingerprint = ran.record.fingerprint
    assert fingerprint is not None and leaderboard.read(ran.path).fingerprint == fingerprint
    ran.path.write_text(dump_row(replace(ran.record, fingerprint=None)))
    assert run(defended).outcome is Outcome.COMPLETED
    assert leaderboard.read(ran.path).fingerprint == fingerprint
    assert run(defended).outcome is Outcome.REPRODUCES


def test_the_fingerprint_does_not_depend_on_the_examples(defended, tmp_path):
    """So that a journal serves other numbers and ranges of examples."""
    whole = run(defended).record
    part = run(replace(defended, samples=None, indices="64:100", leaderboard=tmp_path / "other")).record
    assert part.fingerprint == whole.fingerprint


def test_workers_hold_to_the_function_too(defended, tmp_path):
    """A worker that reads another constant than the driver refuses, before it computes anything."""
    with ProcessPool(["cpu", "cpu"], threads=1) as pool:
        alone = run(defended)
        pooled = run(replace(defended, journal=tmp_path / "pooled", leaderboard=tmp_path / "other"), pool=pool)
        assert result_bytes(pooled.record) == result_bytes(alone.record)
        late = resolve(replace(defended, journal=tmp_path / "late", seed=1), print)
        (tmp_path / "bx_constants.py").write_text("BLUR = 0.8\n")
        with pytest.raises(BenchError, match="is built by other code here"):
            evaluate_plan(settled(late.plan), executor=executor_of(late, pool))
