"""Errors and their exit codes."""

from __future__ import annotations

from bench.core.errors import BenchError, FoundSomethingError, UnknownNameError, WorkFailedError, nearest


def test_exit_codes_are_those_of_the_command_line() -> None:
    """1 the check found something, 2 the user's error, 3 work that failed."""
    assert (FoundSomethingError.exit_code, BenchError.exit_code, WorkFailedError.exit_code) == (1, 2, 3)


def test_an_unknown_name_suggests_the_nearest() -> None:
    """The message has the name, the nearest one and all choices, in one line."""
    error = UnknownNameError("model", "aw_net", ["pgd-at", "aw-net"])
    assert str(error) == "Unknown model 'aw_net'. Did you mean 'aw-net'? Known: aw-net, pgd-at."
    assert error.exit_code == 2


def test_nothing_is_suggested_where_nothing_is_close() -> None:
    """A wild guess would not help; an empty registry says so."""
    assert nearest("zzz", ["aw-net"]) is None
    assert str(UnknownNameError("suite", "x", [])) == "Unknown suite 'x'. Known: none."
