"""docs/analyses.md is what `bench analyze` makes of the results beside it, and those are whole."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from bench import data, models
from bench.analysis import ANALYSES
from bench.analysis.page import make_page
from bench.analysis.report import read_report

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "analyses"
RESULTS = sorted(FOLDER.glob("*.json"))
MOST_BYTES = 150_000


def test_the_page_is_made_of_the_results():
    """Byte for byte; run one of its commands with `--output docs/analyses --page docs/analyses.md` to make it again."""
    text = (ROOT / "docs" / "analyses.md").read_text(encoding="utf-8")
    reports = [read_report(path) for path in RESULTS]
    assert text == make_page(reports, ANALYSES, folder="analyses", shipped_digest=models.shipped_digest)


def test_a_result_of_earlier_weights_says_so():
    """Whoever reads it must not take it for one of the checkpoint that ships."""
    report = read_report(FOLDER / "landscape-digits.json")
    today = {model.name: model.digest for model in report.models}

    def page():
        return make_page([report], ANALYSES, folder="", shipped_digest=lambda name, dataset: today.get(name))

    assert "earlier checkpoint" not in page()
    today["at-awp"] = "9" * 64
    assert "**Of an earlier checkpoint**, and not of the one that ships today: `at-awp`." in page()
    del today["at-awp"]
    assert "earlier checkpoint" not in page(), "what ships no weights has no earlier ones"


def test_a_result_s_words_are_no_markup():
    """Names of classes and models are a stranger's: no image, no link, no HTML."""
    report = read_report(FOLDER / "failing-cifar10.json")
    evil = "a](<img src=x onerror=alert(1)>|`b`"
    claims = tuple(dataclasses.replace(claim, text=f"{claim.text} {evil}", evidence=evil) for claim in report.claims)
    looked = tuple(dataclasses.replace(model, name=f"{model.name}{evil}") for model in report.models)
    values = json.loads(json.dumps(report.values).replace('"cat"', json.dumps(evil)))
    changed = dataclasses.replace(report, claims=claims, models=looked, values=values)
    page = make_page([changed], ANALYSES, folder="", shipped_digest=lambda name, dataset: None)
    assert "onerror" in page and "<img" not in page and "](&lt;" not in page


@pytest.mark.parametrize("name", ["aw-net", "pgd-at"])
def test_the_digest_of_what_ships_is_the_loaded_model_s(name):
    """Files of float16 and of float32 alike."""
    assert models.shipped_digest(name, "digits") == models.load(name, dataset=data.load("digits")).digest
    assert models.shipped_digest(name, "nothing") is None and models.shipped_digest("nobody", "digits") is None


def test_every_analysis_is_on_the_page():
    """Each of them was run on what ships, and more than once where that says more."""
    assert {read_report(path).analysis for path in RESULTS} == set(ANALYSES.names())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_what_a_result_claims_follows_from_its_values(path):
    """Claims, tables and figures are those that today's analysis makes of the stored values."""
    report = read_report(path)
    assert path.stem == report.stem
    analysis = ANALYSES.get(report.analysis)
    assert report.claims == analysis.claims(report.values)
    assert all(len(row) == len(table.headers) for table in analysis.tables(report.values) for row in table.rows)
    assert list(report.figures) == list(analysis.draw(report.values))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_figures_are_there_and_small(path):
    """Both forms of each that a browser shows, and none that no result shows; PDFs are not committed."""
    shown = {f"{stem}.{ending}" for stem in read_report(path).figures.values() for ending in ("png", "svg")}
    assert {each.name for each in FOLDER.glob(f"{path.stem}-*.*") if each.suffix != ".pdf"} == shown
    assert all(0 < (FOLDER / name).stat().st_size < MOST_BYTES for name in shown)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_models_are_those_of_the_zoo(path):
    """No result is about a model that nobody can load; one about older weights says so by its digest alone."""
    named = {model.name for model in read_report(path).models if model.role == "model"}
    assert named <= set(models.names())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_commands_name_no_folder_of_a_machine(path):
    """Anyone can repeat them from a folder of their own."""
    words = shlex.split(read_report(path).provenance.command)
    assert words[:2] == ["bench", "analyze"]
    assert not [word for word in words if word.startswith(("/", "~"))]
