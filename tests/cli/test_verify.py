"""`bench verify` as a user calls it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import leaderboard

OWN = ("--model", "nets.py:good", "--device", "cpu")


@pytest.fixture
def row(run, here):
    """A row of the user's own model."""
    result = run("--model", "nets.py:good")
    assert result.code == 0, result.err
    ((path, _),) = leaderboard.read_all(here / "leaderboard")
    return path


def test_a_run_says_that_there_is_evidence(run, here):
    """How many breaks lie beside the row."""
    text = run().out
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    assert f"Evidence beside it: {record.evidence.n_breaks} breaks" in text and record.evidence.n_breaks > 0
    assert len(list(path.parent.glob("*.evidence.*.npz"))) == 1


def test_a_row_is_verified_by_name_and_by_path(bench, row):
    """The table of checks, the number, exit code 0; the same by name, narrowed down, and by path."""
    record = leaderboard.read(row)
    for words in ((row.stem,), (str(row),), (row.stem, "--dataset", "digits", "--threat-model", "linf:0.1")):
        result = bench("verify", *words, *OWN)
        assert result.code == 0, result.err
        assert f"({record.n_robust} of 20), derived again from the evidence" in result.out
        assert "judged: " in result.err
    quiet = bench("verify", str(row), *OWN, "--quiet")
    assert quiet.err == ""


def test_json_says_the_same(bench, row):
    """Checks, number, marginal verdicts; nothing else on stdout even where a model prints."""
    value = json.loads(bench("verify", str(row), *OWN, "--json").out)
    assert value["holds"] is True and value["n_robust"] == leaderboard.read(row).n_robust
    assert {check["status"] for check in value["checks"]} == {"pass"} and value["marginal"] == []


def test_a_changed_row_is_exit_code_1(bench, row):
    """With the table, and one line that names the check; in JSON too."""
    row.write_text(row.read_text().replace('"seed": 0', '"seed": 1'))
    result = bench("verify", str(row), *OWN)
    assert result.code == 1
    assert "does not hold: row" in result.message and "changed after it was written" in result.out
    assert json.loads(bench("verify", str(row), *OWN, "--json").out)["holds"] is False


def test_changed_evidence_is_exit_code_1(bench, row):
    """Named by its file."""
    (path,) = row.parent.glob("*.evidence.*.npz")
    path.write_bytes(path.read_bytes().replace(b"deltas", b"deltaz", 1))
    result = bench("verify", row.stem, *OWN)
    assert result.code == 1 and path.name in result.out and "evidence" in result.message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Say which row"),
        (("absent.json",), "no such file"),
        (("nobody",), "Unknown row 'nobody'"),
        (("ROW", "--dataset", "digit"), "Unknown dataset of rows in leaderboard 'digit'. Did you mean"),
        (("ROW", "--suite", "quick-v9"), "Unknown suite of rows in leaderboard 'quick-v9'. Did you mean"),
        (("ROW", "--threat-model", "Linf:1/9"), "Unknown threat model of rows in leaderboard 'Linf:1/9'. Did you mean"),
        (("PATH", "--dataset", "digit"), "Expected dataset 'digits', which row"),
        (("PATH", "--suite", "quick"), "Expected suite '"),
        (("PATH", "--threat-model", "Linf:1/9"), "Expected threat model 'Linf:1/10', which row"),
        (("PATH", "--threat-model", "Linf"), "NORM:EPSILON"),
        (("ROW", "--leaderboard", "nowhere"), "No such rows in nowhere"),
        (("ROW", "--device", "abacus"), "No device 'abacus'"),
        (("ROW", "--by", "me"), "name the file"),
        (("ROW", "--add", "a.npz"), "Say who found the breaks"),
        (("ROW", "--add", "absent.npz", "--by", "me"), "Cannot read breaks absent.npz"),
        (("ROW", "--transfer"), "leave ROW"),
        (("--transfer", "--weights", "net.pth"), "with their own weights"),
        (("--transfer", "--suite", "quikc-v1"), "Did you mean 'quick-v1'"),
        (("ROW", "--closest", "5%"), "are about --attack"),
        (("ROW", "--budget", "5m"), "are about --attack"),
        (("ROW", "--attack", "--add", "a.npz", "--by", "me"), "three ways"),
        (("ROW", "--attack", "--closest", "0"), "above 0 and at most 100%"),
        (("ROW", "--attack", "--budget", "soon"), "Expected a duration"),
        (("--transfer", "--leaderboard", "nowhere"), "No rows in nowhere"),
        (("ROW", "--model", "nets.py:godo"), "Did you mean 'good'"),
    ],
)
def test_what_the_user_can_mend_is_exit_code_2(bench, row, words, says):
    """One line each."""
    words = [{"ROW": row.stem, "PATH": str(row)}.get(word, word) for word in words]
    extra = () if "--model" in words or "--transfer" in words or "--device" in words else OWN
    if "--device" in words:
        extra = OWN[:2]
    result = bench("verify", *words, *extra)
    assert result.code == 2, result.out
    assert says in result.message


def test_a_row_of_ones_own_model_asks_for_it(bench, row):
    """No code that a row names is run."""
    result = bench("verify", row.stem)
    assert result.code == 2 and "--model FILE.py:FACTORY" in result.message


def test_breaks_are_handed_in(bench, row):
    """Those that hold but are known change nothing; where none holds, that is exit code 1."""
    (path,) = row.parent.glob("*.evidence.*.npz")
    with np.load(path, allow_pickle=False) as evidence:
        indices, deltas = evidence["indices"][evidence["rounded"]], evidence["deltas"]
    np.savez("known.npz", indices=indices, deltas=deltas)
    np.savez("clean.npz", indices=indices, deltas=0 * deltas)
    before = row.read_bytes()
    known = bench("verify", row.stem, *OWN, "--add", "known.npz", "--by", "me")
    assert known.code == 0 and "nothing new" in known.out and f"known {len(indices)} " in " ".join(known.out.split())
    value = json.loads(bench("verify", row.stem, *OWN, "--add", "known.npz", "--by", "me", "--json").out)
    assert value["known"] == indices.tolist() and value["new"] == value["refused"] == value["outside"] == []
    none = bench("verify", row.stem, *OWN, "--add", "clean.npz", "--by", "me")
    assert none.code == 1 and f"None of the {len(indices)} claimed breaks holds" in none.message
    assert row.read_bytes() == before


def test_a_second_opinion_is_an_attack(bench, run, here):
    """The closest examples with their margins, the number, and the same as JSON; a budget ends it."""
    assert run("--model", "pgd-at").code == 0
    ((path, record),) = leaderboard.read_all(here / "leaderboard")
    words = ("verify", path.stem, "--device", "cpu", "--attack", "--closest", "20%", "--budget", "0.01s")
    text = bench(*words)
    assert text.code == 0, text.err
    assert "smallest margin now" in text.out and "ended by --budget: none fell" in text.out
    value = json.loads(bench(*words, "--json", "--quiet").out)
    assert value["out_of_time"] and value["tries"] == 0 and value["headline"] == record.n_robust > 4
    assert [each["margin"] for each in value["examples"]] == [each["margin_in_row"] for each in value["examples"]]


def test_where_nothing_is_robust_there_is_nothing_to_attack(bench, row):
    """Said in one line."""
    assert leaderboard.read(row).n_robust == 0
    result = bench("verify", row.stem, *OWN, "--attack")
    assert result.code == 2 and "calls no example robust" in result.message


def test_transfer_of_a_board_of_one(bench, row):
    """Nothing to try: said, exit code 0."""
    result = bench("verify", "--transfer")
    assert result.code == 0 and "nothing new" in result.out
    (value,) = json.loads(bench("verify", "--transfer", "--json").out)
    assert value["found"] == [] and value["tried"] == 0
