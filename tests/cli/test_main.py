from __future__ import annotations

import errno
import os
import subprocess
import sys

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


def fail_with(error, monkeypatch):
    """Have `bench list suites` raise something."""

    def broken():
        raise error

    monkeypatch.setitem(list_command._LISTINGS, list_command.Kind.SUITES, broken)


def test_a_fault_of_bench_is_one_line_that_names_a_file_to_report(bench, tmp_path, monkeypatch):
    """Exit 70, never 1, which is a finding; the traceback and the command lie in the file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["bench", "list", "su\udcffites"])
    fail_with(ZeroDivisionError("two\nlines"), monkeypatch)
    result = bench("list", "suites")
    assert result.code == 70 and result.out == ""
    (file,) = tmp_path.glob("bench-error-*.txt")
    assert "internal error, a fault of bench: ZeroDivisionError: two." in result.message
    assert result.message.endswith(f"Please report it with {file}")
    written = file.read_text(encoding="utf-8")
    assert "su\\udcffites" in written and __version__ in written
    assert "Traceback" in written and "in broken" in written and written.endswith("ZeroDivisionError: two\nlines\n")


def test_what_is_no_exception_is_no_finding_either(bench, monkeypatch):
    """Such as a panic in a library of Rust's, which Python would end with a traceback and 1."""
    fail_with(type("PanicException", (BaseException,), {})("overflow"), monkeypatch)
    result = bench("list", "suites")
    assert result.code == 70 and "PanicException: overflow." in result.message


def test_a_fault_whose_file_cannot_be_written_shows_its_traceback(bench, tmp_path, monkeypatch):
    """Nothing is lost; the line is the last one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    fail_with(RuntimeError("gone"), monkeypatch)
    result = bench("list", "suites")
    assert result.code == 70 and "in broken" in result.err
    assert result.err.splitlines()[-1].endswith("Please report it with the traceback above.")


@pytest.mark.parametrize("code", [0, 1, None, "a message"])
def test_code_that_ends_the_process_does_not_choose_the_exit_code(bench, monkeypatch, code):
    """`sys.exit(0)` in a model, wherever it is asked, would be a success without a number."""
    fail_with(SystemExit(code), monkeypatch)
    result = bench("list", "suites")
    assert result.code == 2 and result.out == ""
    assert f"sys.exit({code!r}) in {__file__}, line " in result.message


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ELOOP, errno.ENOTDIR])
def test_what_the_system_refuses_is_no_fault_of_bench(bench, monkeypatch, code):
    """A path that may not be read, wherever it is met: named with the reason, exit 2."""
    fail_with(OSError(code, os.strerror(code), "/some/where"), monkeypatch)
    result = bench("list", "suites")
    assert (result.code, result.message) == (2, f"bench: Cannot use /some/where: {os.strerror(code)}.")


def test_the_module_is_the_command():
    """`python -m bench.cli.main` is `bench`."""
    done = subprocess.run([sys.executable, "-m", "bench.cli.main", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"bench {__version__}")
