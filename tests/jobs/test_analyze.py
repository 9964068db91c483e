"""From names to a result with its figures and a page, and what is refused before anything runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from bench import data, leaderboard, models
from bench.analysis import ANALYSES
from bench.analysis.report import read_report
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.jobs.analyze import AnalyzeRequest, _training, analyze
from bench.jobs.suite_verdicts import PREFERRED, Library
from bench.training import divided

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "leaderboard"


def request(folder, **others):
    """A curve of one model of digits, from its row."""
    usual = {
        "what": "curve",
        "models": ("pgd-at",),
        "dataset": "digits",
        "output": folder / "out",
        "leaderboard": ROWS,
        "samples": 12,
        "journal": folder / "journal",
        "device": "cpu",
    }
    return AnalyzeRequest(**{**usual, **others})


def strongest(name):
    """The strongest suite that has a committed row of a model on digits."""
    return next(suite for suite in PREFERRED if (ROWS / suite / "digits" / "Linf-1_10" / f"{name}.json").exists())


@pytest.fixture
def library():
    """The committed rows of digits."""
    return Library(root=ROWS, dataset=data.load("digits"), threat_model=ThreatModel.parse("Linf:1/10"))


def test_a_result_is_stored_with_its_figures_and_a_page(tmp_path):
    """Every file is there whole, points to the others, and can be read again."""
    words = "bench analyze curve --model pgd-at --dataset digits --samples 12"
    local = f"--output={tmp_path} --journal {tmp_path} --quiet --data-dir {tmp_path}"
    command = (*words.split(), *local.split())
    found = analyze(request(tmp_path, page=tmp_path / "docs" / "page.md", command=command))
    stored = read_report(found.path)
    assert stored == found.report
    assert (stored.analysis, stored.dataset, stored.indices, stored.seed) == ("curve", "digits", "0:12", 0)
    assert stored.values["models"]["pgd-at"]["stored"] is True
    assert stored.values["models"]["pgd-at"]["suite"] == strongest("pgd-at")
    for path in found.figures:
        content = path.read_bytes()
        assert content.startswith((b"\x89PNG", b"%PDF-")) or b"<svg" in content[:300]
        assert len(content) > 3_000
    printed = [path.read_bytes() for path in found.figures if path.suffix == ".pdf"]
    widths = [re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ", content)[1] for content in printed]
    assert len(widths) == len(stored.figures)
    assert {float(width) % 252 for width in widths} == {0}  # columns of 3.5 inches
    text = (tmp_path / "docs" / "page.md").read_text()
    assert all(f"(../out/{stem}.png)" in text and f"(../out/{stem}.svg)" in text for stem in stored.figures.values())
    assert f"```\n{words}\n```" in text
    assert all(claim.evidence in text for claim in stored.claims)


def test_the_same_call_gives_the_same_result_and_repeats_no_work(tmp_path):
    """Second time from the journal; another folder without a journal gives the same values and the same figures."""
    events = []
    first = analyze(request(tmp_path))
    again = analyze(request(tmp_path), on_progress=events.append)
    other = analyze(request(tmp_path, journal=tmp_path / "other", output=tmp_path / "elsewhere"))
    assert first.report.values == again.report.values == other.report.values
    assert first.report.seconds == again.report.seconds
    assert [event.eta for event in events] == [None, 0.0]
    for one, two in zip(first.figures, other.figures, strict=True):
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest()


def test_a_page_tells_every_result_in_the_folder(tmp_path):
    """Results of several analyses and datasets stand in one page, each under its own heading."""
    analyze(request(tmp_path))
    analyze(request(tmp_path, what="filters", models=("standard", "trades"), page=tmp_path / "page.md"))
    text = (tmp_path / "page.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## curve: digits", "## filters: digits"]


def test_verdicts_of_a_row_are_those_of_a_run(library):
    """The same suite on the same weights, once read and once run: who is robust, and who is correct."""
    model = models.load("trades", dataset=library.dataset)
    examples = library.dataset.examples[:16]
    ask = {"seed": 0, "device": "cpu", "notify": lambda line: None}
    row = library.verdicts(model, "standard-v1", examples, **ask)
    run = dataclasses.replace(library, root=Path("nowhere")).verdicts(model, "quick-v1", examples, **ask)
    assert (row.stored, run.stored) == (True, False)
    assert row.clean == run.clean
    assert all(weak or not strong for weak, strong in zip(run.robust, row.robust, strict=True))
    broken = {index for index, held, clean in zip(range(16), row.robust, row.clean, strict=True) if clean and not held}
    assert set(row.breaks.indices.tolist()) == broken
    assert row.passes > run.passes > 0


def test_by_default_the_work_is_bounded():
    """A landscape looks at fewer examples of more models, but never at next to none."""
    landscape = ANALYSES.get("landscape")
    assert [landscape.samples_for(count) for count in (1, 2, 4, 12, 100)] == [128, 128, 64, 21, 16]
    assert ANALYSES.get("curve").samples_for(100) == 64


def test_only_what_is_cheap_looks_at_all_that_the_rows_cover(tmp_path):
    """Counting failures is; a search is not, however much was evaluated."""
    row = leaderboard.read(ROWS / strongest("mart") / "digits" / "Linf-1_10" / "mart.json")
    failing = analyze(request(tmp_path, what="failing", samples=None, models=("mart",))).report
    assert failing.indices == f"0:{row.result.n_examples}"
    assert failing.values["n_always"] == row.result.n_examples - row.result.n_robust


def test_a_row_of_other_weights_or_examples_is_not_used(library, board, tmp_path):
    """Digests decide, not names; a row that covers too few examples is no row."""
    model = models.load("pgd-at", dataset=library.dataset)
    examples = library.dataset.examples
    short = dataclasses.replace(library, root=board)
    assert short.row(model, "quick-v1", examples[:64]) is not None
    assert short.row(model, "quick-v1", examples[:65]) is None
    assert short.row(dataclasses.replace(model, digest="0" * 64), "quick-v1", examples[:64]) is None
    assert short.suite_for([model], examples[:64]) == "quick-v1"
    assert library.suite_for([model], examples[:64]) == strongest("pgd-at")
    shutil.copytree(ROWS / "standard-v1", tmp_path / "standard-v1")
    assert dataclasses.replace(library, root=tmp_path).suite_for([model], examples[:64]) == "standard-v1"


def test_by_default_as_many_examples_as_the_rows_of_all_models_cover(library):
    """And never fewer than the analysis asks for."""
    both = [models.load(name, dataset=library.dataset) for name in ("trades", "mart")]
    count = len(library.row(both[0], "standard-v1", library.dataset.examples[:1]).result.clean_verdicts())
    assert library.extent(both, None, 8) == count
    assert library.extent(both, None, count + 1) == count + 1
    assert dataclasses.replace(library, root=Path("nowhere")).extent(both, None, 8) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"what": "filtres"}, r"Unknown analysis 'filtres'\. Did you mean 'filters'\? Known: curve, .*filters"),
        ({"models": ("pgd_at",)}, r"Unknown model 'pgd_at'\. Did you mean 'pgd-at'\?"),
        ({"what": "filters"}, r"'filters' needs 2 models, but got 1: name each with --model"),
        ({"models": ("pgd-at", "pgd-at")}, r"'pgd-at' is named twice"),
        ({"samples": 0}, r"at least 1 sample, but got 0"),
        ({"suite": "standart"}, r"Unknown suite 'standart'"),
        ({"control": Path("w.pt")}, r"'curve' takes no --control; with one: filters"),
        ({"threat_model": "Linf"}, r"Expected a threat model"),
        ({"dataset": "digit"}, r"Did you mean 'digits'"),
        ({"what": "filters", "models": ("standard", "wrn")}, r"'standard' and 'wrn' differ: convolution 'conv1'"),
    ],
)
def test_what_a_user_can_fix_is_said_in_one_line(tmp_path, change, message):
    """Before any work, and nothing is written."""
    with pytest.raises(BenchError, match=message) as raised:
        analyze(request(tmp_path, **change))
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_result_in_the_folder_is_found_before_the_work(tmp_path):
    """The page would tell it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "package.json").write_text("{}")
    with pytest.raises(BenchError, match=r"package\.json as the result of an analysis"):
        analyze(request(tmp_path, page=tmp_path / "page.md"), on_progress=pytest.fail)


def test_a_result_replaces_its_figures_and_no_others(tmp_path):
    """With a router there are three figures, without one there are two; what has another name stays."""
    names = ("standard", "pgd-at")
    analyze(request(tmp_path, what="filters", models=(*names, "aw-net")))
    (tmp_path / "out" / "filters-digits-mine.png").touch()
    analyze(request(tmp_path, what="filters", models=names))
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "filters-digits-1.png",
        "filters-digits-2.png",
        "filters-digits-mine.png",
    }


def test_a_folder_that_cannot_be_written_is_found_first(tmp_path):
    """Not after the work."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BenchError, match="is a file, not a folder"):
        analyze(request(tmp_path, what="curve"), on_progress=pytest.fail)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1, "values": {}}', "\x00"])
def test_a_file_that_is_no_result_is_named(tmp_path, content):
    """One line, with the file in it."""
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(BenchError, match=r"broken\.json as the result of an analysis") as raised:
        read_report(path)
    assert "\n" not in str(raised.value)


def test_every_analysis_tells_what_it_is():
    """A name of its own file, a question, a source, and how much it looks at by default."""
    for each in ANALYSES:
        assert each.question.endswith("?")
        assert each.source
        assert 1 <= each.least_models <= 2
        assert 1 <= each.samples <= 256
        assert type(each).__module__.endswith(f".{each.name}")
        assert json.dumps(each.choices)


def test_every_suite_that_is_ranked_is_looked_at_for_verdicts():
    """The strongest first; a suite that comes later must find its place here."""
    published = {path.parent.name for path in ROWS.glob("*/suite.json")}
    assert published <= set(PREFERRED)
    assert PREFERRED[0] == max(name for name in published if name.startswith("adaptive"))


def test_work_on_verdicts_of_another_row_is_done_again(tmp_path, monkeypatch):
    """The same command after the row was replaced, or went: its verdicts are in what was kept."""
    shutil.copytree(ROWS / "standard-v1", tmp_path / "board" / "standard-v1")
    asked = dataclasses.replace(
        request(tmp_path, what="failing", samples=16, models=("mart",)), leaderboard=tmp_path / "board"
    )
    read, plain = [], Library.verdicts
    monkeypatch.setattr(Library, "verdicts", lambda *given, **named: read.append(given) or plain(*given, **named))
    analyze(asked)
    analyze(asked)
    assert len(read) == 1
    path = tmp_path / "board" / "standard-v1" / "digits" / "Linf-1_10" / "mart.json"
    record = leaderboard.read(path)
    leaderboard.amend(path, dataclasses.replace(record, result=dataclasses.replace(record.result, seed=1)))
    analyze(asked)
    assert len(read) == 2
    path.unlink()
    told = []
    analyze(asked, notify=told.append)
    assert any("running quick-v1" in line for line in told)


def test_training_examples_are_those_that_training_sees(tmp_path):
    """A tenth of digits is held out to select on, and has no part in a gap between training and test."""
    asked = request(tmp_path, what="landscape", models=("mart",), samples=24)
    dataset = data.load("digits")
    seen = _training(asked, dataset, 24)
    held, rest = divided(1437)
    assert seen.indices.tolist() == rest[:24].tolist()
    assert not set(seen.indices.tolist()) & set(held.tolist())
    assert set(range(24)) & set(held.tolist())
