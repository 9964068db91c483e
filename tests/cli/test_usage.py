from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("evaluate", "Unknown command 'evaluate'. Known: analyze"),
        ("shwo", "Unknown command 'shwo'. Did you mean 'show'?"),
        ("--vresion", "Unknown option '--vresion'. Did you mean '--version'? `bench -h` says what there is."),
        ("run --modle m", "Unknown option '--modle'. Did you mean '--model'? `bench run -h` says what there is."),
        ("run --dataset d", "Expected --model. `bench run -h` says what there is."),
        ("run --model m --dataset", "Expected --dataset to have a value."),
        ("run --no-row=3", "Expected --no-row to have no value."),
        ("run --model m --dataset d --samples many", "Expected --samples to be a whole number, but got 'many'."),
        ("doctor --model m --dataset d --seconds q", "Expected --seconds to be a number, but got 'q'."),
        ("list modelz", "Unknown WHAT 'modelz'. Did you mean 'models'? Known: analyses, "),
        ("list", "Expected WHAT, one of models, datasets, "),
        ("show --format x", "Unknown --format 'x'. Known: csv, json, "),
        ("show a b c", "Expected no more words, but got 'b c'. `bench show -h` says what there is."),
    ],
)
def test_mistakes_in_words_are_told_in_one_line_of_ours(bench, words, says):
    """What was wrong, what was expected, the nearest name; no line of typer's or pydantic's, nothing on stdout."""
    done = bench(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bench: {says}") and done.err.count("\n") == 1
