"""A result that cannot be printed costs nothing but its print."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import leaderboard
from bench.cli.output import json_text

BENCH = [sys.executable, "-m", "bench.cli.main"]
RUN = ["run", "--model", "nets.py:good", "--dataset", "digits", "--suite", "quick-v1", "--samples", "8"]
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def printed_to(target, *words):
    """Call bench with stdout going somewhere."""
    return subprocess.run(
        [*BENCH, *words], stdout=target, stderr=subprocess.PIPE, env=environment(), timeout=300, check=False
    )


@needs_full
def test_a_full_disk_under_stdout_costs_no_row(here):
    """After a whole evaluation: exit 3, the last line says so, and the row is there."""
    with Path("/dev/full").open("wb") as full:
        done = printed_to(full, *RUN, "--quiet", "--device", "cpu", "--journal", "journal")
    assert done.returncode == 3
    line = done.stderr.decode().splitlines()[-1]
    assert line.startswith("bench: Cannot print the result: No space left on device. What is stored is kept")
    assert len(list(leaderboard.read_all(here / "leaderboard"))) == 1


@pytest.mark.parametrize("words", [("list", "models"), ("list", "suites", "--json"), ("--version",)])
def test_a_pipe_that_nobody_reads_is_one_line(here, words):
    """As under `| head -1`: exit 3, nothing from Python itself at its end."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = printed_to(writing, *words)
    finally:
        os.close(writing)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("bench: Cannot print the result: Broken pipe")


def test_a_run_goes_on_where_nobody_reads_its_remarks(here):
    """Progress on a stderr that is closed on the other side is no reason to end the work."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        words = [*BENCH, *RUN, "--device", "cpu", "--journal", "journal"]
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=writing, env=environment(), timeout=300, check=False
        )
    finally:
        os.close(writing)
    assert done.returncode == 0 and b"Row written" in done.stdout
    assert len(list(leaderboard.read_all(here / "leaderboard"))) == 1


def test_a_byte_outside_utf8_breaks_neither_row_nor_print(run, bench, here, monkeypatch):
    """In the paths and in the command that the row records: as an escape there, as the byte on disk."""
    board = here / os.fsdecode(b"b\xff")
    try:
        board.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    monkeypatch.setattr("sys.argv", ["bench", "run", "--leaderboard", str(board)])
    written = run("--leaderboard", str(board))
    assert written.code == 0, written.err
    assert "Row written" in written.out and "b\\udcff" in written.out
    ((path, record),) = leaderboard.read_all(board)
    assert record.provenance.command == "bench run --leaderboard 'b\\udcff'"
    path.read_bytes().decode()
    value = json.loads(run("--leaderboard", str(board), "--json").out)
    assert "b\\udcff" in value["path"] and value["row"]["provenance"]["command"].isascii()
    shown = bench("show", "--leaderboard", str(board))
    assert shown.code == 0 and "nets-good" in shown.out
    missing = bench("show", os.fsdecode(b"a\xff.json"))
    assert missing.code == 2 and "a\\udcff.json" in missing.message


def test_letters_that_the_terminal_lacks_become_escapes(here):
    """A result is printed under any encoding."""
    words = [*BENCH, "list", "models"]
    done = subprocess.run(
        words, capture_output=True, env={**environment(), "PYTHONIOENCODING": "ascii"}, timeout=300, check=False
    )
    assert done.returncode == 0 and done.stdout.isascii()


def test_what_json_has_no_number_for_is_null():
    """As a margin that half precision could not hold: other programs read no Infinity."""
    text = json_text({"margins": (1.0, math.inf, [math.nan, -math.inf])}, indent=None)
    assert text == '{"margins": [1.0, null, [null, null]]}'
