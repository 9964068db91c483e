from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

from bench import data, leaderboard, models
from bench.cli.progress import RunDisplay
from bench.cli.run import show_runs
from bench.data import DATASETS
from bench.diagnostics import quick
from bench.evaluation import Progress
from bench.jobs.extent import Extent, seconds_of_swift
from bench.jobs.run import Outcome, Ran


def rows(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))


def test_a_run_shows_a_table_and_writes_a_row(run, here, monkeypatch):
    """Clean, every attack, robust accuracy with its interval, where the row lies, and in it the command."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/bench", "run", "--model", "nets.py:good"])
    result = run()
    assert result.code == 0, result.err
    names = [line.split()[0] for line in result.out.splitlines() if "/20" in line]
    assert names == ["clean", "fgsm", "pgd-20", "apgd-ce"]
    assert "95 % interval" in result.out
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    assert f"Row written: {path.relative_to(here)}" in result.out
    assert record.result.indices == "0:20"
    assert record.threat_model == "Linf:1/10"
    assert record.provenance.command == "bench run --model nets.py:good"
    assert f"Next:\n  bench verify {path.relative_to(here)}\n" in result.out
    assert "Finished work" not in result.err


def test_json_is_all_there_is_on_stdout(run):
    """Even where the model prints; everything else goes to stderr."""
    result = run("--model", "nets.py:talkative", "--json")
    value = json.loads(result.out)
    assert value["outcome"] == "written"
    assert value["row"]["result"]["n_examples"] == 20
    assert "so many images" in result.err


def test_quiet_is_quiet(run):
    """No progress and no remarks, but the result, and what speaks against it: this model was never trained."""
    result = run("--quiet")
    doubts = result.err.splitlines()
    assert all(doubt.startswith("Warning: Check R") for doubt in doubts)
    assert doubts[0].startswith("Warning: Check R19 doubts the model or its data. Clean accuracy is ")
    assert "Robust accuracy" in result.out


def test_the_same_run_again_reproduces_the_row(run):
    """It says before the start that there is a row, and at the end that it agrees; from a fresh journal too."""
    first = run("--journal", "other")
    again = run("--journal", "other")
    assert "There is a row on 20 examples" in again.err
    assert "Finished work of an earlier run is reused: other" in again.err and "Finished" not in first.err
    assert "Reproduces the row" in again.out


def test_a_row_that_differs_is_kept_unless_forced(run, here):
    """Another seed is another result: shown, not stored; `--force` stores it."""
    run()
    kept = run("--seed", "1", "--journal", "other")
    assert kept.code == 0
    assert "is kept, since it differs" in kept.out
    assert "not comparable: seed" in kept.out
    forced = run("--seed", "1", "--journal", "other", "--force")
    assert "Row replaced" in forced.out
    ((_, record),) = leaderboard.read_all(here / "leaderboard")
    assert record.result.seed == 1


def test_a_smoke_run_does_not_block_the_real_one(run, here):
    """A longer run that agrees extends the row, and says so before and after; a shorter one leaves it alone."""
    assert run().code == 0
    longer = run("--samples", "40")
    assert longer.code == 0
    assert "it is extended if this run agrees with it, else kept (--force replaces it)" in longer.err
    assert "Row extended from 20 examples" in longer.out
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    assert record.result.n_examples == 40 and len(list(path.parent.iterdir())) == 2
    before = path.read_bytes()
    shorter = run()
    assert "it has more than this run, so it is kept" in shorter.err and "Reproduces the row" in shorter.out
    other = run("--seed", "1", "--journal", "other")
    assert "is kept, since it differs (on 40 examples)" in other.out
    forced = run("--seed", "1", "--journal", "other", "--force")
    assert forced.code == 2 and "it has more than this run, so it is kept, --force or not" in forced.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "fate"),
    [
        ((), "this run checks it; should it differ, it is kept (--force replaces it)."),
        (("--force",), "this run checks it; should it differ, it is replaced, since --force is given."),
        (("--seed", "1"), "it is of another model, data or seed, so it is kept (--force replaces it)."),
        (("--samples", "40", "--force"), "it is extended if this run agrees with it, else replaced, since --force is"),
        (("--indices", "10:40"), "this run has not all of its examples, so it is kept (--force replaces it)."),
        (("--samples", "40", "--budget", "1h"), "it is kept if the budget is enough for fewer than it has."),
    ],
)
def test_what_will_become_of_a_row_is_told_before_the_start(run, here, words, fate):
    """And comes true: the row changes where it says so."""
    assert run().code == 0
    ((path, _),) = leaderboard.read_all(here / "leaderboard")
    before = path.read_bytes()
    told = run(*words, "--journal", "other")
    assert told.code == 0 and fate in told.err
    changed = path.read_bytes() != before
    assert changed == ("extended" in told.out)


def test_a_trial_leaves_no_row(run, here):
    """`--no-row`: nothing is asked of the leaderboard or written to it, alone or with other models."""
    (here / "leaderboard").write_text("in the way")
    text = run("--no-row")
    assert text.code == 0 and "No row was written, as --no-row asks." in text.out and "Robust accuracy" in text.out
    value = json.loads(run("--no-row", "--json").out)
    assert (value["outcome"], value["path"]) == ("no-row", None) and value["row"]["result"]["n_examples"] == 20
    several = run("--no-row", "--json", "--model", "nets.py:good", "--model", "nets.py:talkative")
    assert [each["outcome"] for each in json.loads(several.out)] == ["no-row", "no-row"]
    assert (here / "leaderboard").read_text() == "in the way"
    refused = run("--no-row", "--force")
    assert refused.code == 2 and "--force has nothing to replace" in refused.message


def test_a_range_of_examples(run, here):
    """`--indices A:B` evaluates those of the official split."""
    assert run("--indices", "3:9").code == 0
    ((_, record),) = leaderboard.read_all(here / "leaderboard")
    assert record.result.indices == "3:9"


def test_a_sample_writes_no_row(run, here, monkeypatch):
    """With substitute data every output says so, and no row appears."""
    spec = DATASETS.get("digits")

    def sampled(split, data_dir):
        content = spec.read(split, data_dir)
        return content._replace(inputs=content.inputs[:20], labels=content.labels[:20], notice="20-image sample")

    monkeypatch.setitem(DATASETS._entries, "digits", type(spec)(**{**vars(spec), "read": sampled}))
    text = run()
    assert text.code == 0, text.err
    assert "20-image sample" in text.err
    assert "20-image sample" in text.out
    assert "No row was written." in text.out
    value = json.loads(run("--json").out)
    assert (value["outcome"], value["path"], value["notice"]) == ("sample", None, "20-image sample")
    assert not (here / "leaderboard").exists()


def test_a_users_own_data_is_evaluated(run, here):
    """An `.npz` file is a dataset; its row is named by its content."""
    generator = np.random.default_rng(0)
    np.savez(here / "mine.npz", inputs=generator.random((20, 1, 8, 8)), labels=np.arange(20) % 10)
    result = run("--dataset", "mine.npz")
    assert result.code == 0, result.err
    assert rows(here / "leaderboard")[0].startswith("quick-v1/npz-mine-")


def test_a_warning_of_a_library_stays_off_stdout(run, here):
    """What warns while a run computes does not end up in the JSON."""
    (here / "nets.py").write_text((here / "nets.py").read_text() + "\nimport warnings\nwarnings.warn('careful')\n")
    with pytest.warns(UserWarning, match="careful"):
        result = run("--json")
    json.loads(result.out)


def test_progress_off_a_terminal_is_a_line_per_stage(capsys):
    """Attack, robust so far and the time left, on stderr, in less than 80 columns."""
    event = Progress(
        attack="autoattack", stage="fab-t", chunk=1, n_chunks=2, n_robust=40, n_examples=64, seconds=9.6, eta=65.0
    )
    with RunDisplay(quiet=False) as display:
        display.update(event)
        display.update(Progress(**{**vars(event), "chunk": 2}))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["autoattack fab-t: 40/64 robust, 0:10 passed, 1:05 left"]


def test_the_doctor_has_a_line_of_its_own(run):
    """Before the row, with its checks, and after it the evidence; from the journal too."""
    for options in ((), ("--leaderboard", "other")):
        told = [line for line in run(*options).err.splitlines() if not line.startswith("Warning: ")]
        lines = [line.partition(",")[0] for line in told]
        assert lines[-2:] == [f"doctor: {len(quick())} checks", "evidence: 1 file"], lines


@pytest.mark.parametrize("columns", ["79", "120"])
def test_progress_on_a_terminal_moves(monkeypatch, capsys, columns):
    """Each stage has a line with attack, chunk, robust so far and the time left; below 100 columns without a bar."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    event = Progress(attack="fgsm", stage="fgsm", chunk=1, n_chunks=2, n_robust=40, n_examples=64, seconds=1, eta=65.0)
    with RunDisplay(quiet=False) as display:
        display.update(event)
    shown = capsys.readouterr().err
    assert all(part in shown for part in ("fgsm", "1/2", "40/64 robust", "1:05 left"))


def test_a_line_of_progress_has_less_than_80_columns(monkeypatch, capsys):
    """Also of the longest stage, with the largest counts and times; the name gives way."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    stage = {"attack": "adaptive-routes", "stage": "frozen-adversarial-image", "chunk": 100, "n_chunks": 157}
    event = Progress(**stage, n_robust=9999, n_examples=10_000, seconds=4000, eta=7265.0)
    with RunDisplay(quiet=False) as display:
        display.update(event)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", capsys.readouterr().err)
    lines = [line.strip() for line in shown.replace("\r", "\n").splitlines()]
    assert any(line.endswith("2:01:05 left") for line in lines)
    assert max(map(len, lines)) < 80


def test_a_budget_is_planned_said_and_recorded(run, here):
    """Before it starts in words, in the JSON as numbers, and in the row."""
    result = run("--budget", "10m", "--json")
    assert "A budget of 10m is enough for all 20 examples" in result.err
    planned = json.loads(result.out)["plan"]
    assert (planned["n_examples"], planned["n_asked"], planned["budget_seconds"]) == (20, 20, 600.0)
    assert 0 < planned["predicted_seconds"] < 60 and planned["probe_seconds"] > 0
    ((_, record),) = leaderboard.read_all(here / "leaderboard")
    assert record.cost.budget_seconds == 600.0


@pytest.mark.parametrize(
    ("budget", "message"),
    [("0.01s", "too small for 4 examples"), ("soon", "such as 90s, 10m or 1h30m"), ("10", "such as 90s, 10m or 1h30m")],
)
def test_a_budget_that_cannot_be_is_refused(run, here, budget, message):
    """In one line; no row and no journal."""
    result = run("--budget", budget)
    assert result.code == 2
    assert message in result.message
    assert not (here / "leaderboard").exists() and not (here / "journal").exists()


def test_class_names_go_through_run_verify_doctor_and_merge(bench, here):
    """Data with some of the model's classes: each command takes the same option, and says so where it is missing."""
    digits = data.load("digits").examples[:40]
    some = [position for position, label in enumerate(digits.labels.tolist()) if label not in (1, 9)]
    for position in some:
        folder = here / "some" / f"digit {digits.labels[position]}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (digits.inputs[position, 0] * 255).round().byte().numpy()
        Image.fromarray(pixels).save(folder / f"{position:02}.png")
    (here / "names.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    usual = ["--model", "nets.py:good", "--dataset", "folder:some", "--device", "cpu"]
    names = ["--class-names", "names.txt"]
    journal = ["--suite", "quick-v1", "--journal", "journal"]
    refused = bench("run", *usual, *journal)
    assert refused.code == 2 and "--class-names FILE" in refused.message and len(refused.message) < 300
    found = bench("run", *usual, *journal, *names, "--json")
    assert found.code == 0 and "The folders are 8 of 10 classes." in found.err
    value = json.loads(found.out)
    model = models.load("nets.py:good", dataset=data.load("digits"))
    chosen = digits[torch.tensor(some)]
    right = int((model.module(chosen.inputs).argmax(1) == chosen.labels).sum())
    assert value["row"]["result"]["n_clean"] == right and value["row"]["result"]["n_examples"] == len(some)
    row = [value["path"], *usual[:4], "--device", "cpu"]
    assert bench("verify", *row, *names).code == 0
    assert bench("verify", *row).code == 1
    assert bench("run", *usual, *names, "--suite", "quick-v1", "--journal", "shards", "--shard", "1/1").code == 0
    merged = bench("merge", *usual, *names, "--suite", "quick-v1", "--journal", "shards")
    assert merged.code == 0 and "Reproduces the row" in merged.out
    examined = bench("doctor", *usual, *names, "--checks", "R5")
    assert examined.code == 0 and bench("doctor", *usual, "--checks", "R5").code == 1
    observed = bench("analyze", "curve", *usual, *names, "--samples", "8", "--suite", "quick-v1", "--journal", "curve")
    assert observed.code == 0, observed.err
    assert bench("analyze", "curve", *usual, "--samples", "8", "--suite", "quick-v1", "--journal", "curve").code == 2


def test_what_a_remark_names_cannot_move_the_cursor(bench, here):
    """A file's name is a stranger's text."""
    for name in ("a", "b"):
        (here / "images" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 99).save(here / "images" / name / "0.png")
    (here / "images" / "a" / "\x1b[2Jnote.txt").touch()
    told = bench("run", "--model", "nets.py:good", "--dataset", "folder:images", "--device", "cpu").err
    assert "\\x1b[2Jnote.txt" in told and "\x1b[2J" not in told


def test_a_weights_key_goes_through_run_doctor_and_verify(bench, here):
    """Of two networks in a file the named one is evaluated, examined and verified, which is said and kept."""
    states = [{f"1.{name}": each for name, each in torch.nn.Linear(64, 10).state_dict().items()} for _ in range(2)]
    torch.save({"run": {"raw": states[0], "ema": states[1]}}, here / "w.pth")
    model = ("--model", "nets.py:good", "--weights", "w.pth")
    few = ("--dataset", "digits", "--samples", "8")
    unsaid = bench("run", *model, *few, "--suite", "quick-v1")
    assert unsaid.code == 2
    assert "'run.raw', 'run.ema'" in unsaid.err
    keyed = (*model, "--weights-key", "run.ema")
    done = bench("run", *keyed, *few, "--suite", "quick-v1", "--json")
    assert done.code == 0
    assert "taken from 'run.ema'" in done.err
    row = json.loads(done.out)["row"]
    assert row["card"]["remarks"] == ["Weights w.pth: taken from 'run.ema'."]
    examined = bench("doctor", *keyed, *few, "--checks", "R5")
    assert (examined.code, "taken from 'run.ema'" in examined.err) == (0, True)
    assert bench("verify", row["model"], *keyed).code == 0
    assert bench("verify", row["model"], *model, "--weights-key", "run.raw").code == 1


OWN_SUITE = """
from dataclasses import dataclass

from bench.attacks import SingleAttack, get
from bench.suites import AttackSuite


@dataclass(frozen=True, kw_only=True)
class Brighter(SingleAttack):
    name: str = "brighter"

    def perturb(self, classifier, examples, threat_model, *, seed):
        return (examples.inputs + float(threat_model.epsilon)).clamp(0, 1)


ENTRY = AttackSuite(name="mine", version=1, attacks=(get("fgsm"), Brighter()))
"""


def test_a_suite_of_ones_own_is_run_and_not_ranked(run, bench, here):
    """Its row lies under a name of its own, can be verified, and stands on the board without a rank."""
    (here / "suite.py").write_text(OWN_SUITE)
    assert run("--suite", "suite.py:ENTRY").code == 0
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    assert path.parents[2].name == record.suite == "own-mine-v1"
    assert [each.name for each in record.result.attacks] == ["fgsm", "brighter"]
    assert "somebody's own" in bench("verify", str(path), "--model", "nets.py:good").out
    assert bench("publish").code == 0
    checked = bench("check")
    assert checked.code == 0, checked.out
    assert "a suite of somebody's own" in (here / "leaderboard" / "README.md").read_text()
    assert "which workers do not have" in run("--suite", "suite.py:ENTRY", "--workers", "2", "--force").message


def test_a_librarys_model_on_photographs_of_any_size(run, here):
    """They become the pixels that the model is made for, which is said and stands in the row."""
    for number in range(4):
        file = here / "photographs" / f"class{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((230 + number, 240, 3), 60 * number, dtype=np.uint8)).save(file)
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None, num_classes=2).state_dict(), here / "own.pt")
    words = ("--model", "torchvision:squeezenet1_1", "--weights", "own.pt", "--dataset", "folder:photographs")
    (here / "suite.py").write_text(OWN_SUITE)
    result = run(*words, "--samples", "1", "--suite", "suite.py:ENTRY")
    assert result.code == 0, result.err
    assert "Images as torchvision:squeezenet1_1 takes them: Resize(256, bilinear), CenterCrop(224)" in result.err
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    assert record.preprocessing == "Resize(256, bilinear), CenterCrop(224)"
    assert path.stem == f"torchvision-squeezenet1_1-{record.digests.model[:8]}"


def test_a_row_is_called_as_the_user_says(bench, run, here):
    """And found by that name: shown, compared, verified, probed, analyzed without another run, merged."""
    torch.save({"1.weight": torch.randn(10, 64), "1.bias": torch.zeros(10)}, "net.pth")
    own = ["--model", "nets.py:good", "--weights", "net.pth"]
    assert run(*own, "--name", "mine").code == 0
    assert run(*own, "--name", "yours").code == 0
    assert bench("show", "mine").out.startswith("mine on digits")
    assert "Every verdict and margin agrees" in bench("compare", "mine", "yours").out
    assert bench("verify", "mine", *own, "--device", "cpu").code == 0
    probed = bench("check", "mine", "--probe", "8", *own, "--device", "cpu", "--json")
    assert '"probe"' in probed.out and "mistake" not in probed.out
    words = ["--model", "nets.py:good", "--name", "mine", "--name", "other", "--dataset", "digits", "--samples", "8"]
    found = bench("analyze", "curve", *own, *words, "--suite", "quick-v1", "--journal", "analysis", "--json", "--quiet")
    models = json.loads(found.out)["report"]["values"]["models"]
    assert {name: about["stored"] for name, about in models.items()} == {"mine": True, "other": False}
    doctor = bench("doctor", *own, "--name", "mine", "--dataset", "digits", "--checks", "R7", "--samples", "8")
    assert doctor.out.startswith("mine on digits")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--name", "pgd-at"), "a model of bench"),
        (("--name", "robustbench-x"), "a model of RobustBench"),
        (("--name", "../x"), "'../x'"),
        (("--name", "x", "--models", "pgd-at", "--models", "trades"), "--name is that of one model"),
    ],
)
def test_a_name_that_a_row_cannot_have(run, words, says):
    """One line, before anything is loaded."""
    done = run(*words)
    assert done.code == 2 and says in done.message


def test_images_of_any_size_are_resized_as_asked(bench, run, here):
    """It is part of the data's name, stands in the row, and is taken from there to verify and to probe it."""
    for number in range(6):
        folder = here / "images" / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        size = (20 + number, 12, 3)
        pixels = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    nets = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))\n"
    (here / "net.py").write_text(nets)
    torch.save({"1.weight": torch.randn(3, 192), "1.bias": torch.zeros(3)}, "net.pth")
    words = ["--model", "net.py:make", "--weights", "net.pth", "--dataset", "folder:images"]
    for name, how in [
        ("a", ["--resize", "8x8"]),
        ("b", ["--resize", "10", "--crop", "8", "--interpolation", "bicubic"]),
    ]:
        done = run(*words, "--indices", "0:6", "--name", name, "--journal", name, *how)
        assert done.code == 0, done.err
    assert "--resize HxW" in run(*words, "--indices", "0:6").message
    records = [json.loads(path.read_text()) for path in sorted((here / "leaderboard").rglob("[ab].json"))]
    assert {row["model"]: row["preprocessing"] for row in records} == {
        "a": "Resize((8, 8), bilinear)",
        "b": "Resize(10, bicubic), CenterCrop(8)",
    }
    assert len({row["dataset"] for row in records}) == 2
    assert bench("publish").code == 0
    for name in ("a", "b"):
        assert bench("verify", name, *words, "--device", "cpu").code == 0
        assert bench("check", name, "--probe", "6", *words, "--device", "cpu", "--quiet").code == 0
    refused = run("--resize", "8x8")
    assert refused.code == 2 and "are for images in a folder" in refused.message


def test_a_run_of_the_default_suite_ends_with_what_all_images_would_take(capsys):
    """One command with a time, where there are more images than the run had; no other suite says so."""
    root = Path(__file__).resolve().parents[2] / "leaderboard"
    path = root / "standard-v1" / "digits" / "Linf-1_10" / "pgd-at.json"
    record = leaderboard.read(path)
    n = record.result.n_examples
    ran = Ran(
        evaluation=None,
        record=record,
        outcome=Outcome.WRITTEN,
        path=path,
        notice=None,
        warnings=(),
        extent=Extent(n_examples=n, n_asked=n),
        n_split=1000,
    )
    show_runs(["pgd-at"], [ran], as_json=False)
    shown = capsys.readouterr().out
    told = r"  bench run --suite swift-v1 --samples 1000\n    tells of all 1,000 test images, .* in about "
    assert re.search(told, shown)
    seconds = [seconds_of_swift(record, count) for count in (1000, 2000)]
    attacked = sum(cost.seconds for cost in record.cost.attacks) / n
    assert seconds[1] == pytest.approx(2 * seconds[0]) and 0 < seconds[0] < 1000 * attacked / 5
    for other in (replace(ran, n_split=n), replace(ran, record=replace(ran.record, suite="adaptive-v1"))):
        show_runs(["pgd-at"], [other], as_json=False)
        assert "swift-v1" not in capsys.readouterr().out
