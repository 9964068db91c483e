"""Words that no command takes."""

from __future__ import annotations

import pytest

from bench.cli.arguments import check_words
from bench.core.errors import BenchError


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--weights", ""], "--weights to be something"),
        (["--weights="], "--weights to be something"),
        (["--dataset", "a" * 300], "--dataset to be at most 255"),
        (["--leaderboard", "a/" + "\u00e9" * 200 + "/b"], "--leaderboard to be at most 255"),
        (["--journal", "a\0b"], "--journal to be text"),
        (["x", "\ud800"], "an argument to be text"),
        (["--model=\u202e"], "--model to be text"),
        (["--seed", "9" * 19], "--seed to be a number of at most 18"),
        (["--seed", "-" + "9" * 4000], "--seed"),
    ],
)
def test_words_that_are_refused(words: list[str], says: str) -> None:
    """Nothing at all, no text, what could be no file's name, numbers that nothing counts; the option is named."""
    with pytest.raises(BenchError, match=says) as caught:
        check_words(words)
    assert len(str(caught.value)) < 250


def test_other_words_are_none_of_its_business() -> None:
    """Paths, URLs, texts, negative numbers, equals signs."""
    check_words(
        ["run", "--reference", "A = b, 2024: \u65e5\u672c", "--seed=-1", "s3://a/b", "0:64", "\udcff.json", "x" * 255]
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--weights", ""), ("--weights",)),
        (("--weights", "."), ("it is a folder",)),
        (("--weights", "/dev/zero"), ("it is a device",)),
        (("--dataset", "folder:~nosuchuser/x"), ("home folder", "~nosuchuser")),
        (("--data-dir", "~nosuchuser/x", "--dataset", "cifar10"), ("home folder",)),
        (("--device", "meta"), ("No device 'meta'", "cpu")),
        (("--workers", "99999999999"), ("at most 1,000 workers",)),
        (("--threat-model", "L2:1e999999999"), ("Expected epsilon",)),
        (("--indices", "0:" + "9" * 200), ("0:360",)),
        (("--samples", "9" * 18), ("at most 360",)),
        (("--budget", "-5m"), ("duration",)),
        (("--leaderboard", "foo://x"), ("Unknown protocol",)),
        (("--journal", "://x"), ("protocol",)),
    ],
)
def test_what_an_option_cannot_be(run, words, says):
    """One line that names it, exit 2, at once."""
    result = run(*words)
    assert result.code == 2, result.err
    assert len(result.message) <= 307
    for text in says:
        assert text in result.message
