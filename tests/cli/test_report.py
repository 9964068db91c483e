"""`bench report`."""

from __future__ import annotations


def test_a_report_is_written_where_it_is_asked_for(run, bench, here):
    """Of the row of a run; a file that is there is kept, but by force; the name says what it is."""
    assert run("--name", "mine").code == 0
    done = bench("report", "mine")
    assert done.code == 0, done.err
    assert (here / "mine.html").read_text().startswith("<!doctype html>")
    again = bench("report", "mine")
    assert again.code == 2 and "--force replaces it" in again.message
    assert bench("report", "mine", "--force").code == 0
    assert "ends in .html" in bench("report", "mine", "mine.pdf").message
    assert "Did you mean" in bench("report", "mime").message
