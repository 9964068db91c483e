from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import leaderboard
from bench.row.serialization import dump_row, load_row

FROZEN = Path(__file__).parent.parent / "row" / "frozen" / "record_v1.json"


@pytest.fixture
def record():
    """A row that an old bench wrote."""
    return load_row(FROZEN.read_bytes())


@pytest.fixture
def board(here, record):
    """A leaderboard of two rows: one model under two suites' names would be two boards, so two models."""
    leaderboard.write(record, here / "leaderboard")
    leaderboard.write(replace(record, model="other"), here / "leaderboard")
    return here / "leaderboard"


def test_all_rows_one_line_each(bench, board, record):
    """Suite, dataset, threat model, model, counts and interval of every row."""
    lines = bench("show").out.splitlines()[2:]
    assert [line.split()[3] for line in lines] == sorted([record.model, "other"])
    assert all(record.suite in line and record.threat_model in line for line in lines)


def test_one_row_in_full(bench, board, record):
    """By its model's name or by its path: every attack with its count."""
    by_name = bench("show", "other").out
    for attack in record.result.attacks:
        assert f"{attack.n_robust}/{record.result.n_examples}" in by_name
        assert attack.name in by_name
    ((path, _), *_) = leaderboard.read_all(board)
    assert "Robust accuracy" in bench("show", str(path)).out


def test_what_others_broke_lowers_the_headline(bench, board, record):
    """The suite's own count stays beside it."""
    assert (record.result.n_robust, record.n_robust) == (3, 1)
    text = bench("show", record.model).out
    assert "Robust accuracy 11.11 % (1 of 9;" in text
    assert ["broken", "by", "others", "1/9"] in [line.split()[:4] for line in text.splitlines()]
    assert all("11.11 %" in line for line in bench("show").out.splitlines()[2:])


@pytest.mark.parametrize(("form", "rule"), [("markdown", "|:--"), ("latex", r"\midrule")])
def test_tables_for_papers_have_the_interval_and_no_text_that_escapes(bench, here, record, form, rule):
    """Many rows and one; what a stranger called an attack stays in its cell."""
    first, *others = record.result.attacks
    strange = replace(record.result, attacks=(replace(first, name="a_b|c&d%"), *others))
    costs = replace(record.cost, attacks=tuple(each for each in record.cost.attacks if each.name != first.name))
    leaderboard.write(replace(record, result=strange, cost=costs), here / "leaderboard")
    many, one = bench("show", "--format", form).out, bench("show", record.model, "--format", form).out
    assert rule in many and rule in one
    assert "95 % interval" in many.replace("\\%", "%") and "11.11" in many
    assert "[" in one and (r"a\_b|c\&d\%" if form == "latex" else r"a_b\|c&d%") in one
    assert ("\\bottomrule" in one) is (form == "latex")


def test_csv_has_a_line_for_each_row(bench, board, record):
    """Under the columns of `bench.rows`."""
    header, *lines = bench("show", "--format", "csv").out.splitlines()
    assert header.startswith("suite,dataset,threat_model,model,title,n_examples") and len(lines) == 2
    assert bench("show", "--format", "json").out == bench("show", "--json").out


def test_json_gives_back_the_row(bench, board, record):
    """What `--json` prints is the stored row."""
    (value,) = json.loads(bench("show", record.model, "--json").out)
    assert load_row(json.dumps(value)) == record


def test_filters(bench, board, record):
    """`--suite`, `--dataset` and `--threat-model` narrow down, in any spelling of the same radius."""
    assert bench("show", "--dataset", record.dataset, "--threat-model", record.threat_model.lower()).code == 0
    refused = bench("show", "--dataset", f"{record.dataset}s")
    assert refused.code == 2
    assert (
        f"Unknown dataset of rows in leaderboard '{record.dataset}s'. Did you mean '{record.dataset}'?"
        in refused.message
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show",), "No such rows in leaderboard"),
        (("show", "--leaderboard", "nowhere"), "No such rows in nowhere"),
        (("show", "nowhere.json"), "Cannot read row nowhere.json"),
        (("compare", "a", "b"), "No such rows in leaderboard"),
    ],
)
def test_nothing_to_show(bench, words, says):
    """Exit 2, and where it looked."""
    result = bench(*words)
    assert result.code == 2
    assert says in result.message


def test_an_unknown_model_gets_the_nearest_name(bench, board):
    """As everywhere."""
    assert "Did you mean 'other'?" in bench("show", "ohter").message


def test_a_damaged_row_is_named(bench, board):
    """A file that is no row is no reason for a traceback."""
    ((path, _), *_) = leaderboard.read_all(board)
    path.write_text(path.read_text()[:100])
    result = bench("show")
    assert result.code == 2
    assert path.name in result.message


def test_a_row_equals_itself(bench, board, record):
    """`compare` of two equal rows says so, column by column."""
    text = bench("compare", record.model, "other").out
    assert "Every verdict and margin agrees." in text
    names = [column["name"] for column in json.loads(bench("compare", record.model, "other", "--json").out)["columns"]]
    assert names == ["clean", *(attack.name for attack in record.result.attacks), "robust"]


def test_a_comparison_says_what_audits_leave_open(bench):
    """Of rows that tried everything it says nothing."""
    rows = Path(__file__).resolve().parents[2] / "leaderboard"
    audited = [rows / "swift-v1" / "cifar10" / "Linf-8_255" / f"{name}.json" for name in ("pgd-at", "at-awp")]
    n_open = [leaderboard.read(path).n_undecided for path in audited]
    text = " ".join(bench("compare", *map(str, audited)).out.split())
    assert min(n_open) > 0 and f"leaves up to {n_open[0]} of A's and {n_open[1]} of B's examples open" in text
    tried = rows / "standard-v1" / "digits" / "Linf-1_10"
    assert "open" not in bench("compare", str(tried / "pgd-at.json"), str(tried / "trades.json")).out


def test_only_like_is_compared_with_like(bench, board, record):
    """Rows of another seed are not comparable, and the message says why."""
    stranger = replace(record, result=replace(record.result, seed=record.result.seed + 1))
    (board.parent / "stranger.json").write_text(dump_row(stranger))
    result = bench("compare", record.model, "stranger.json")
    assert result.code == 2
    assert "Not comparable: seed" in result.message


def test_an_ambiguous_name_is_refused(bench, board, record):
    """A model with rows under two threat models needs narrowing down."""
    leaderboard.write(replace(record, threat_model="L2:1/2"), board)
    result = bench("compare", record.model, "other")
    assert result.code == 2
    assert "Narrow it down" in result.message


def test_rows_are_shown_where_torch_is_not_installed(board):
    """`show`, `compare` and `--help` need no torch, and only `compare`'s exact test needs numpy."""
    torch = ["torch", "torchvision", "foolbox", "pyautoattack", "safetensors", "sklearn"]
    for words in (["show"], ["show", "other"], ["compare", "other", "other"], ["run", "--help"], ["--help"]):
        blocked = torch if "compare" in words else [*torch, "numpy"]
        program = f"import sys; sys.modules.update(dict.fromkeys({blocked})); from bench.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=board.parent,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


UNREADABLE = [
    ("show",),
    ("show", "other"),
    ("compare", "other", "other"),
    ("check",),
    ("publish",),
    ("publish", "--check"),
    ("verify", "other"),
    ("verify", "--transfer"),
]


@pytest.mark.parametrize("words", UNREADABLE, ids=" ".join)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_read_is_not_an_empty_one(bench, board, refuse_to_list, words, code):
    """The folder and the reason, exit 2: a board half of which is not seen is never shown or checked."""
    folder = next(path for path in board.glob("*/*") if path.is_dir())
    refuse_to_list(folder, code)
    result = bench(*words)
    assert (result.code, result.out) == (2, "")
    assert str(folder.relative_to(board)) in result.message and os.strerror(code) in result.message


@pytest.mark.parametrize("words", UNREADABLE, ids=" ".join)
@pytest.mark.parametrize("kind", ["file", "loop"])
def test_what_is_no_folder_is_not_an_empty_board(bench, here, words, kind):
    """A file, or a link to itself, in its place."""
    if kind == "file":
        (here / "leaderboard").touch()
    else:
        (here / "leaderboard").symlink_to("leaderboard")
    result = bench(*words)
    assert (result.code, result.out) == (2, "")
    assert "Cannot read" in result.message and "leaderboard" in result.message


def test_a_row_commands_no_terminal(bench, here, record):
    """Colours, titles and overrides of direction in any text of a row are shown as escapes."""
    evil = "\x1b]0;owned\x07\u202e\n"
    attacks = tuple(replace(attack, name=attack.name + evil) for attack in record.result.attacks)
    row = replace(
        record,
        cost=replace(record.cost, engine=evil, device=evil),
        result=replace(record.result, attacks=attacks),
    )
    path = here / "evil.json"
    path.write_text(dump_row(row))
    for words in (("show", str(path)), ("show", str(path), "--json"), ("compare", str(path), str(path))):
        out = bench(*words).out
        assert "u202e" in out and not {"\x1b", "\x07", "\u202e"} & set(out)
