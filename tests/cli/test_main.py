from __future__ import annotations

import pytest

from bench import __version__
from bench.cli import list as list_command
from bench.cli.main import app


@pytest.mark.parametrize("command", [each.name for each in app.registered_commands])
def test_every_command_explains_itself_with_examples(bench, command):
    """`--help` says what a command does, and shows a line to copy."""
    result = bench(command, "--help")
    assert result.code == 0
    assert f"  bench {command} " in result.out.partition("Examples:")[2]


def test_without_words_it_helps(bench):
    """`bench` alone lists its commands."""
    result = bench()
    assert all(each.name in result.out + result.err for each in app.registered_commands)


def test_it_tells_its_version(bench):
    """`--version` is the package's."""
    assert bench("--version").out.strip() == f"bench {__version__}"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("evaluate",), "evaluate"),
        (("run", "--modle", "aw-net"), "--modle"),
        (("run", "--dataset", "digits"), "--model"),
        (("run", "--model", "m", "--dataset", "d", "--samples", "many"), "--samples"),
        (("list", "colours"), "colours"),
        (("show", "--what"), "--what"),
    ],
)
def test_words_that_it_does_not_know_are_the_users_error(bench, words, named):
    """An unknown command, option or value exits 2, is named, and prints nothing on stdout."""
    result = bench(*words)
    assert (result.code, result.out) == (2, "")
    assert named in result.err


def test_an_interrupt_says_how_to_go_on(bench, monkeypatch):
    """Ctrl-C exits 130 with one line."""

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(list_command._LISTINGS, list_command.Kind.SUITES, interrupted)
    result = bench("list", "suites")
    assert result.code == 130
    assert "same command resumes" in result.message


def test_our_own_mistakes_keep_their_traceback(bench, monkeypatch):
    """What is no BenchError is not swallowed."""

    def broken():
        raise ZeroDivisionError

    monkeypatch.setitem(list_command._LISTINGS, list_command.Kind.SUITES, broken)
    with pytest.raises(ZeroDivisionError):
        app(["list", "suites"])
