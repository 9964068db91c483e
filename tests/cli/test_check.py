"""`bench check`: what it finds, how it says so, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.linear_model import LogisticRegression

from bench import data, leaderboard
from bench.core import digest
from bench.core.statistics import wilson
from bench.row import Certificate, format_indices, pack_verdicts, to_json
from bench.row.arrays.npz import dump_arrays

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = "standard-v1/digits/Linf-1_10/pgd-at.json"
AUDITED = "swift-v1/cifar10/Linf-8_255/at-awp.json"
BARE = """
import sys
sys.modules["torch"] = None
from bench.cli.main import app
sys.argv = ["bench", *sys.argv[1:]]
app()
"""


@pytest.fixture
def board(here):
    """A copy of the committed board in the working folder."""
    shutil.copytree(ROOT / "leaderboard", here / "leaderboard")
    return here / "leaderboard"


@pytest.fixture
def check(bench):
    """Call `bench check --json`; its exit code and what it found."""

    def call(*words):
        done = bench("check", "--json", "--quiet", *words)
        value = json.loads(done.out)
        assert value["exit_code"] == done.code
        return done.code, [each for each in value["cases"] if each["level"] in ("finding", "mistake")]

    return call


def edit(path, change):
    """Change a row's JSON and leave out its checksum, so that the change itself must be noticed."""
    value = json.loads(path.read_text())
    value.pop("checksum", None)
    change(value)
    path.write_text(json.dumps(value))


def test_the_committed_board_is_fine(check, board):
    """Rows, suites, pages; nothing found."""
    assert check() == (0, [])


def test_checking_rows_needs_no_torch(board):
    """Nor anything else that is slow to load."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, "check", "--leaderboard", str(board)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Nothing was found.\n")


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda row: row["result"].update(n_robust=1), 1, "n_robust"),
        (lambda row: row["digests"].update(suite="0" * 64), 1, "not the one published"),
        (lambda row: row["result"]["attacks"][1]["parameters"].update(steps=5), 1, "not the one published"),
        (lambda row: row.update(threat_model="linf:1/10"), 1, "expected 'Linf:1/10'"),
        (lambda row: row["provenance"].update(date="<yesterday>"), 1, "its date is"),
        (lambda row: row["cost"]["attacks"].pop(), 1, "costs of"),
        (lambda row: row.update(schema_version=99), 2, "Update bench"),
        (lambda row: row.update(model="../pgd-at"), 2, "without '..'"),
        (lambda row: row.update(model="other"), 2, "not where it belongs"),
        (lambda row: row.pop("result"), 2, "result"),
    ],
)
def test_a_row_that_is_not_what_it_claims(check, board, change, code, says):
    """Contradictions are findings, exit 1; what cannot be used is a mistake, exit 2; the file is named."""
    edit(board / ROW, change)
    got, found = check()
    assert got == code
    assert any(says in each["message"] and each["subject"] == ROW for each in found), found


def test_what_is_both_certified_and_broken_is_found(check, board):
    """Either the bound or the break is wrong; which examples these are is told."""
    record = leaderboard.read(board / ROW)
    broken = record.result.broken()
    other = next(index for index, robust in enumerate(record.verdicts()) if robust)

    def certify(row, *indices):
        edit(board / ROW, lambda value: value.update(certificate=to_json(certificate(record, *indices))))
        return [each for each in check("--leaderboard", str(board))[1] if each["subject"] == ROW]

    assert certify(board / ROW, other) == []
    (found,) = certify(board / ROW, other, min(broken))
    assert found["subject"] == ROW and f"examples {min(broken)} are both certified and broken" in found["message"]


def certificate(record, *indices):
    """A certificate about these examples."""
    return Certificate(
        method="by hand",
        code="c",
        model=record.digests.model,
        indices=format_indices(sorted(indices)),
        n_proved=len(indices),
        proved=pack_verdicts([True] * len(indices)),
    )


def test_a_truncated_row_does_not_hide_the_others(check, board):
    """Exit 2 wins, and the contradiction in another row is told as well."""
    (board / ROW).write_bytes((board / ROW).read_bytes()[:200])
    edit(board / "standard-v1/digits/Linf-1_10/standard.json", lambda row: row["result"].update(n_clean=1))
    code, found = check()
    assert code == 2
    assert {each["level"] for each in found} == {"finding", "mistake"}


def test_links_and_duplicates_are_mistakes(check, board, tmp_path):
    """A link could lead anywhere; two files of one identity could each be the row."""
    (board / "standard-v1/digits/Linf-1_10/copy.json").write_bytes((board / ROW).read_bytes())
    (board / "standard-v1/digits/Linf-1_10/link.json").symlink_to("/etc/passwd")
    code, found = check()
    assert code == 2
    assert any("two rows of one suite" in each["message"] for each in found)
    assert any("symbolic link" in each["message"] and each["subject"].endswith("link.json") for each in found)


def test_pages_that_differ_are_found(check, board):
    """By name, with the remedy."""
    (board / "results.csv").write_text("suite,dataset,threat_model,model\n")
    code, found = check()
    assert code == 1
    assert [each["subject"] for each in found] == ["results.csv"] and "bench publish" in found[0]["message"]


def test_other_weights_than_the_manifests_are_found(check, board, here, manifest):
    """One byte of the weights; and a manifest without weights is a mistake."""
    folder = here / "checkpoints" / "net"
    folder.mkdir(parents=True)
    (folder / "digits.safetensors").write_bytes(b"weights")
    (folder / "digits.json").write_text(replace(manifest, sha256="0" * 64).to_json())
    code, found = check()
    assert code == 1 and found[0]["check"] == "checkpoint" and "SHA-256" in found[0]["message"]
    (folder / "digits.safetensors").unlink()
    assert check()[0] == 2


def test_no_board_is_a_mistake(bench):
    """One line, exit 2."""
    assert bench("check").code == 2


# ---- against a revision ----


@pytest.fixture
def history(board):
    """The board, committed."""
    for words in (
        ["init", "--quiet"],
        ["add", "leaderboard"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--no-gpg-sign", "-m", "board"],
    ):
        subprocess.run(["git", *words], cwd=board.parent, check=True)
    return board


def test_the_same_weights_may_not_change_their_result(check, history):
    """Neither down nor up: that nothing breaks any more is more than rounding."""

    def better(row):
        everything, n_clean = row["result"]["clean"], row["result"]["n_clean"]
        assert row["result"]["n_robust"] < 0.95 * n_clean
        for each in row["result"]["attacks"]:
            each.update(robust=everything, n_robust=n_clean)
            each.pop("stages", None)
        row["result"].update(n_robust=n_clean)

    assert check("--against", "HEAD") == (0, [])
    edit(history / ROW, better)
    found = [each for each in check("--against", "HEAD")[1] if each["check"] == "against"]
    assert [each["subject"] for each in found] == [ROW]
    assert "the same checkpoint, but an attack changed" in found[0]["message"]


@pytest.mark.parametrize("field", ["seed", "suite", "dataset"])
def test_a_row_is_not_replaced_by_one_that_cannot_be_compared(check, history, field):
    """The same weights under another seed, on other data or by another suite of the same name give another number."""

    def other(row):
        if field == "seed":
            row["result"]["seed"] = 1
        else:
            row["digests"][field] = "9" * 64

    edit(history / ROW, other)
    found = [each for each in check("--against", "HEAD")[1] if each["check"] == "against"]
    assert [(each["subject"], each["level"]) for each in found] == [(ROW, "finding")]
    assert f"not comparable: {field}" in found[0]["message"]


@pytest.mark.parametrize("words", [["pgd-att"], ["--suite", "standard-v9"], ["pgd-at", "--dataset", "cifar100"]])
def test_a_row_that_is_not_there_is_a_mistake(bench, board, words):
    """Whatever is asked of it: a misspelt name is not a board on which nothing was found."""
    done = bench("check", *words, "--quiet")
    assert done.code == 2 and ("pgd-at" in done.message or "No row is left" in done.message)


def test_a_removed_or_shortened_row_is_a_finding(check, history):
    """What was published is replaced, not removed."""
    (history / ROW).unlink()
    found = [each for each in check("--against", "HEAD")[1] if each["check"] == "against"]
    assert [(each["subject"], each["level"]) for each in found] == [(ROW, "finding")]


def test_new_weights_may_not_be_significantly_worse(check, history):
    """Exact McNemar on the same examples; the better ones pass."""
    target = history / ROW
    before, was = target.read_text(), leaderboard.read(target).result

    def swap(donor):
        value = json.loads(donor)
        row = json.loads(before)
        row["result"], row["digests"]["model"] = value["result"], "9" * 64
        row.pop("checksum", None)
        target.write_text(json.dumps(row))

    worse = target.parent / "aw-net-e2e.json"
    swap(worse.read_text())
    found = [each for each in check("--against", "HEAD")[1] if each["check"] == "against"]
    now = leaderboard.read(worse).result
    told = f"a new checkpoint: {was.n_robust} robust before, {now.n_robust} now of {now.n_examples}"
    assert len(found) == 1 and told in found[0]["message"] and now.n_examples == was.n_examples
    swap(before)
    assert not [each for each in check("--against", "HEAD")[1] if each["check"] == "against"]


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD:leaderboard"])
def test_an_unknown_revision_is_a_mistake(bench, history, revision):
    """One line, exit 2, and no option of git's can be smuggled in."""
    done = bench("check", "--against", revision, "--quiet")
    assert done.code == 2 and "revision" in done.message
    assert not (history.parent / "x").exists()


# ---- how it is said ----


def test_github_and_junit_say_the_same(bench, board, here):
    """Annotations at the file, on one line, whatever a row holds; a failure for a finding, an error for a mistake."""
    edit(board / ROW, lambda row: row.update(threat_model="Linf:1/10 "))
    (board / "standard-v1/digits/Linf-1_10/standard.json").write_text('{"schema_version": "a%\\n::error::b"}')
    done = bench("check", "--format", "github", "--junit", "report.xml", "--quiet")
    assert done.code == 2
    errors = [line for line in done.out.splitlines() if line.startswith("::error ")]
    assert f"::error file=leaderboard/{ROW},title=bench check%3A row::" in done.out
    assert len(errors) == 2 and not [line for line in done.out.splitlines() if line.startswith("::error::")]
    report = ElementTree.parse(here / "report.xml").getroot()
    row = next(suite for suite in report if suite.get("name") == "row")
    rows = str(len(list(board.glob("*/*/*/*.json"))))
    assert (row.get("tests"), row.get("failures"), row.get("errors")) == (rows, "1", "1")
    assert len(report.findall(".//failure")) == 1 and len(report.findall(".//error")) == 1


def test_probe_and_replay_refuse_what_they_cannot_do(bench, board):
    """One line each, before anything runs."""
    for words, says in [
        (("--probe", "0"), "at least 1"),
        (("--model", "nets.py:good"), "--probe"),
        (("nobody", "--probe", "4"), "Unknown row"),
        (("--probe", "4", "--model", "nets.py:good"), "Name one"),
        (("--probe", "4", "--dataset", "svhn"), "exclude all"),
    ]:
        done = bench("check", *words, "--quiet")
        assert done.code == 2 and says in done.message, words


GUIDE = (ROOT / "docs" / "ci.md").read_text()
WORKFLOW = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[1]


@pytest.fixture(scope="module")
def digits():
    """Weights of a linear model of the digits, weaker ones, and the images that the guide calls its own data."""
    train, test = (data.load("digits", split=split).examples for split in ("train", "test"))
    fitted = LogisticRegression(C=0.01, max_iter=1000).fit(train.inputs.flatten(1).numpy(), train.labels.numpy())
    good = {"1.weight": torch.from_numpy(fitted.coef_).float(), "1.bias": torch.from_numpy(fitted.intercept_).float()}
    noise = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    return good, {**good, "1.weight": good["1.weight"] + 0.15 * noise}, test[:64]


@pytest.fixture
def checkout(here, digits):
    """A repository with the guide's model, its weights, and its data as a file and as a folder."""
    good, _, few = digits
    (here / "net.py").write_text((here / "nets.py").read_text().replace("def good", "def make"))
    torch.save(good, "net.pth")
    np.savez("data.npz", inputs=few.inputs.numpy(), labels=few.labels.numpy())
    for image, label, index in zip(few.inputs, few.labels.tolist(), few.indices.tolist(), strict=True):
        Path(f"images/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0] * 255).byte().numpy()).save(f"images/{label}/{index:03}.png")
    return here


@pytest.mark.parametrize("dataset", ["digits", "data.npz", "folder:images"])
def test_the_guide_for_ci_is_followed_literally(bench, checkout, digits, dataset):
    """Its commands, on built-in data and on the user's own: the same weights pass the gate, weaker ones fail it."""
    commands = [line.split() for line in re.findall(r"^    bench (.*)$", GUIDE, re.MULTILINE)]
    make, publish = commands[1:3]
    gate = yaml.safe_load(WORKFLOW)["jobs"]["check"]["steps"][-1]["run"].removeprefix("bench ").split()
    if dataset != "digits":
        make, gate = ([*words] for words in commands if dataset in words)
    few = ["--samples", "64", "--journal", "journal"]
    assert bench(*make, *few, "--device", "cpu", "--quiet").code == 0
    assert bench(*publish).code == 0
    same = bench(*gate, "--device", "cpu", "--quiet")
    assert same.code == 0, same.out
    torch.save(digits[1], "net.pth")
    weaker = bench(*gate, "--device", "cpu", "--quiet")
    assert weaker.code == 1 and "a new checkpoint: " in weaker.out, weaker.out


def test_the_guides_workflow_has_ten_lines():
    """And installs no CUDA."""
    assert len(WORKFLOW.splitlines()) == 10 and "https://download.pytorch.org/whl/cpu" in WORKFLOW


def test_rows_on_own_data_are_replayed_on_it_alone(bench, checkout):
    """The way out that one message names is taken by the next command; other data is a finding."""
    words = ["--model", "net.py:make", "--weights", "net.pth", "--device", "cpu", "--quiet"]
    made = bench("run", *words, "--dataset", "data.npz", "--suite", "quick-v1", "--threat-model", "Linf:1/10")
    assert made.code == 0 and bench("publish").code == 0
    for mode in (["--replay"], ["--probe", "8"]):
        lost = bench("check", *mode, *words)
        assert lost.code == 2 and "--dataset FILE.npz" in lost.out, lost.out
        found = bench("check", *mode, *words, "--dataset", "data.npz")
        assert found.code == 0, found.out
    with np.load("data.npz") as arrays:
        np.savez("data.npz", inputs=arrays["inputs"][::-1], labels=arrays["labels"][::-1])
    for mode in (["--replay"], ["--probe", "8"]):
        changed = bench("check", *mode, *words, "--dataset", "data.npz")
        assert changed.code == 1 and "but the row says" in changed.out, changed.out


def test_a_floor_is_held_against_the_lower_end_of_the_interval(bench, here):
    """Of the committed row: Wilson's of the clean and of the robust examples."""
    folder = here / Path("leaderboard", ROW).parent
    shutil.copytree(ROOT / folder.relative_to(here), folder, ignore=shutil.ignore_patterns("[!p]*", "pgd-at-*"))
    shutil.copy(ROOT / "leaderboard" / "standard-v1" / "suite.json", here / "leaderboard" / "standard-v1")
    assert bench("publish").code == 0
    result = leaderboard.read(here / "leaderboard" / ROW).result
    robust, clean = (wilson(count, result.n_examples).low for count in (result.n_robust, result.n_clean))
    for floors, code in [
        (("--min-robust", f"{robust - 1e-3:.6f}", "--min-clean", f"{clean - 1e-3:.6f}"), 0),
        (("--min-robust", f"{robust + 1e-3:.6f}"), 1),
        (("--min-clean", f"{clean + 1e-3:.6f}"), 1),
        (("--min-robust", "35"), 2),
        (("--min-clean", "nan"), 2),
    ]:
        done = bench("check", *floors, "--quiet")
        assert done.code == code, done.out + done.err


def test_a_floor_is_held_against_what_an_audit_makes_certain(bench, board):
    """Of 3,595 robust examples of at-awp at least 3,549 are: below 0.35 by Wilson's interval of those alone."""
    record = leaderboard.read(board / AUDITED)
    assert record.robust_interval.low < 0.35 < wilson(record.n_robust, record.result.n_examples).low
    chosen = ("at-awp", "--suite", "swift-v1", "--quiet")
    assert bench("check", *chosen, "--min-robust", "0.34").code == 0
    done = bench("check", *chosen, "--min-robust", "0.35")
    assert done.code == 1 and "not at least 0.35" in done.out, done.out


def test_a_floor_is_not_met_by_a_row_that_lacks_a_check(check, board):
    """A check that was not run could have made the number an upper bound."""
    edit(board / ROW, lambda row: row["result"]["diagnostics"][0].update(status="not run", evidence="not run: memory"))
    found = check("pgd-at", "--dataset", "digits", "--suite", "standard-v1", "--min-robust", "0.1")[1]
    assert any("not all of it ran: R" in str(each) for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "null",
        "NaN",
        "[]",
        "{}",
        "[" * 10_000,
        '{"attacks": 5}',
        '{"a": ' + "9" * 400 + "}",
        '{"a": 1, "a": 2}',
        "",
    ],
)
def test_a_suite_that_is_none_is_one_mistake(check, board, text):
    """Numbers, nothing, nesting without end, keys twice: the file is named, and the rest is checked."""
    path = board / "standard-v1" / "suite.json"
    path.write_text(text)
    code, cases = check()
    assert code == 2 or code == 1
    assert all("standard-v1" in case["message"] for case in cases)
    assert all(len(case["message"]) <= 300 for case in cases)


@pytest.mark.parametrize("place", ["stray", ROW, "standard-v1/suite.json", "standard-v1/digits/pipe.json", "README.md"])
def test_a_pipe_is_never_waited_for(check, board, place):
    """Wherever it lies, it is named."""
    path = board / place
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    code, cases = check()
    assert code == 2
    assert any("pipe" in case["message"] and place in case["message"] for case in cases)


def test_names_that_are_no_text_are_shown_as_escapes(bench, board):
    """Bytes that are no UTF-8 and a terminal's commands, in the name of a file and of a row."""
    (board / os.fsdecode(b"\xff\x1b[31m")).symlink_to("nowhere")
    for form in ("table", "json", "github"):
        done = bench("check", "--quiet", "--format", form, "--junit", "report.xml")
        assert done.code == 2
        assert "udcff" in done.out and "\x1b" not in done.out
    assert "udcff" in Path("report.xml").read_text()


def test_evidence_that_unpacks_to_gigabytes_is_refused_before_it_is(check, board):
    """Digits have 360 examples of 64 pixels; a file for them needs no more."""
    path = board / ROW
    row = json.loads(path.read_text())
    (old,) = path.parent.glob("pgd-at.evidence.*.npz")
    with np.load(old) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    content = dump_arrays({**whole, "exact": np.zeros((100_000, 1, 8, 8), np.float32)})
    sha256 = digest.of_content(content)
    old.unlink()
    old.with_name(f"pgd-at.evidence.{sha256[:12]}.npz").write_bytes(content)
    row.pop("checksum")
    row["evidence"]["sha256"] = sha256
    path.write_text(json.dumps({**row, "checksum": digest.of_json(row)}))
    code, cases = check()
    assert code == 1
    assert any("at most" in case["message"] and case["check"] == "evidence" for case in cases)
