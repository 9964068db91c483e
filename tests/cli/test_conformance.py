from __future__ import annotations

import json

from bench.jobs import conformance as job

BINARY = ("conformance", "--only", "linear, 2 classes, Linf", "--samples", "8")


def test_what_is_said_and_what_is_true(bench):
    """A line for each model on stdout, progress on stderr, exit code 0."""
    result = bench(*BINARY)
    assert result.code == 0, result.err
    assert "true robust" in result.out and "linear, 2 classes, Linf" in result.out
    assert "Of 1 models the number of 0 is too high or wrong" in result.out
    assert "linear, 2 classes, Linf: true, model 1 of 1" in result.err


def test_for_other_programs(bench):
    """JSON has all that was found; markdown is a table for a page."""
    (value,) = json.loads(bench(*BINARY, "--json", "--quiet").out)
    assert value["truth"]["least"] == value["truth"]["most"] == value["suite"]["robust"]
    assert (value["kind"], value["suite"]["verdict"], value["reference"]) == ("closed form", "true", None)
    markdown = bench(*BINARY, "--markdown", "--quiet").out
    assert markdown.startswith("| kind") and "|:--" in markdown


def test_a_lie_without_a_doubt_is_a_finding(bench, monkeypatch):
    """Exit code 1, and which model it is about."""
    monkeypatch.setattr(job, "diagnose_briefly", lambda *args, **options: ())
    result = bench("conformance", "--only", "one-hot and a linear term", "--samples", "8")
    assert result.code == 1
    assert "too high, and no doubt" in result.out
    assert result.message == "bench: quick-v1 misleads about 1 of 1 models: one-hot and a linear term."


def test_a_mistake_is_one_line(bench):
    """Exit code 2: a name with the nearest one, two forms for one table, a folder that is not there."""
    for words, says in (
        (("--only", "batchsize"), "Did you mean 'batch size'?"),
        (("--markdown", "--json"), "leave one out"),
        (("--data-dir", "nowhere"), "No such data folder: nowhere"),
    ):
        result = bench("conformance", *words)
        assert result.code == 2
        assert says in result.message
