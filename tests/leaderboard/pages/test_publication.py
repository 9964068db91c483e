"""Rows to pages."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bench.core.errors import BenchError
from bench.diagnostics import select
from bench.leaderboard import amend, read, write
from bench.leaderboard.pages.board import load
from bench.leaderboard.pages.literature import PUBLISHED
from bench.leaderboard.pages.markdown import code, escape
from bench.leaderboard.pages.publication import outdated, publish, render
from bench.leaderboard.pages.tables import Row, arrange
from bench.leaderboard.pages.wording import PROTOCOLS, QUESTIONS, bibtex, link_of, millions, reproduce
from bench.row import Card, Certificate, Record, Reported, pack_verdicts

Make = Callable[..., Record]
COMMITTED = Path(__file__).resolve().parents[3] / "leaderboard"
EVIL = Card(
    title="<script>alert('t')</script> | [x](javascript:y)",
    reference='"><img src=x onerror=alert(1)>',
    architecture="`a`|b",
    n_parameters=11_173_962,
    extra_data="=HYPERLINK(1)",
)


def files(root: Path) -> dict[str, bytes]:
    """Everything under a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def board(tmp_path: Path, record: Make) -> Path:
    """Two ranked models on digits, one of them with a hostile card, and a short row on cifar10."""
    root = tmp_path / "board"
    strong = record([True] * 350 + [False] * 10, dataset="digits", model="strong")
    write(strong, root)
    write(record([True] * 300 + [False] * 60, dataset="digits", model="evil", card=EVIL), root)
    write(record([True, False], model="short"), root)
    return root


def test_the_same_rows_give_the_same_bytes(board: Path, tmp_path: Path) -> None:
    """In another folder, and again in the same one, which then writes nothing."""
    done = publish(board)
    first = files(board)
    other = tmp_path / "other"
    for path in board.rglob("*.json"):
        target = other / path.relative_to(board)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    publish(other)
    again = publish(board)
    assert files(other) == first == files(board)
    assert len(done.written) == 8 and again.written == () and again.unchanged == 8
    assert outdated(board) == ()


def test_every_page_that_differs_is_named(board: Path) -> None:
    """A changed, a missing and a superfluous page."""
    publish(board)
    (board / "README.md").write_text("better numbers")
    (board / "index.html").unlink()
    (board / "CHANGELOG.md").unlink()
    (board / "model-index" / "gone.md").write_text("")
    assert outdated(board) == (
        "README.md differs from the rows",
        "index.html is missing",
        "CHANGELOG.md is missing",
        "model-index/gone.md is of a model that has no row",
    )
    assert [str(path) for path in publish(board).removed] == ["model-index/gone.md"]
    assert outdated(board) == ()


def test_a_changed_row_outdates_the_pages(board: Path, record: Make) -> None:
    """One verdict more is seen."""
    publish(board)
    write(record([True] * 351 + [False] * 9, dataset="digits", model="strong"), board, force=True)
    assert "README.md differs from the rows" in outdated(board)


def test_the_readme_ranks_and_gives_reasons(board: Path) -> None:
    """Ranks, accuracies with intervals, and why a row has none."""
    publish(board)
    text = (board / "README.md").read_text()
    assert (
        "| [strong](standard-v1/digits/Linf-8_255/strong.json) |  |  | 100.00 | **97.22** (94.96 to 98.48) | 360 |"
        in text
    )
    assert "2 examples, not the first 1,000" in text
    assert "As published, not re-run" in text and "| `Wu2020Adversarial` | WRN-34-10 | 85.36 | 56.17 |" in text
    assert "Wu2020" not in text[: text.index("As published")]
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if "\\" not in link]
    assert links and all((board / link).exists() for link in links)


def test_columns_that_say_the_same_of_all_are_a_sentence(board: Path, record: Make) -> None:
    """Epochs stand beside a model where anybody said how many; extra data, unless nobody had any."""
    publish(board)
    table = "| rank | model | size | extra data | clean |"
    assert table in (board / "README.md").read_text() and "extra data." not in (board / "README.md").read_text()
    card = dataclasses.replace(EVIL, title="Trained", extra_data="no", epochs=20)
    for path in (*board.glob("*/digits/*/*.json"), *board.glob("*/cifar10/*/*.json")):
        amend(path, dataclasses.replace(read(path), card=card))
    publish(board)
    text = (board / "README.md").read_text()
    assert "| rank | model | size | epochs | clean |" in text and "None was trained on extra data." in text
    assert f"| {millions(card.n_parameters)} | 20 | 100.00 |" in text
    assert {line["epochs"] for line in csv.DictReader(io.StringIO((board / "results.csv").read_text()))} == {"20"}
    assert "<dd>20 epochs</dd>" in (board / "index.html").read_text()


def test_nothing_of_a_card_is_markup(board: Path) -> None:
    """A stranger's title, paper and architecture are shown as text, in markdown, in CSV and in YAML."""
    publish(board)
    text = (board / "README.md").read_text()
    assert "<script" not in text and "<img" not in text and "](javascript" not in text
    rows = [line for line in text.splitlines() if "alert\\('t'\\)" in line]
    assert rows and len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO((board / "results.csv").read_text()))}
    assert lines["evil"]["extra_data"] == "'=HYPERLINK(1)"
    assert json.loads((board / "model-index" / "evil.md").read_text().splitlines()[2].split(": ", 1)[1]) == EVIL.title


def test_the_model_index_is_what_hugging_face_reads(board: Path) -> None:
    """Every row of the model, with its metrics as fractions."""
    yaml = pytest.importorskip("yaml")
    publish(board)
    text = (board / "model-index" / "strong.md").read_text()
    assert text.startswith("---\n") and text.endswith("---\n")
    (model,) = yaml.safe_load(text.strip("-\n"))["model-index"]
    (result,) = model["results"]
    assert model["name"] == "strong" and result["dataset"]["type"] == "digits"
    assert result["task"]["type"] == "image-classification"
    assert [metric["value"] for metric in result["metrics"]] == [1.0, 0.9722, 0.9722]
    short = yaml.safe_load((board / "model-index" / "short.md").read_text().strip("-\n"))["model-index"][0]
    (name,) = [
        metric["name"] for metric in short["results"][0]["metrics"] if metric["name"].startswith("Robust accuracy")
    ]
    assert "2 examples, not the first 1,000" in name  # a card must not say less than the board


def test_results_csv_holds_every_number(board: Path) -> None:
    """Counts, rank and interval of each row."""
    publish(board)
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO((board / "results.csv").read_text()))}
    strong = lines["strong"]
    assert (strong["n_robust"], strong["n_examples"], strong["rank_best"], strong["n_robust:pgd-20"]) == (
        "350",
        "360",
        "1",
        "350",
    )
    assert (strong["robust_low_percent"], strong["robust_high_percent"]) == ("94.96", "98.48")
    assert (lines["short"]["rank_best"], lines["short"]["unranked"]) == ("", "2 examples, not the first 1,000")


def test_results_csv_shows_text_of_rows_as_text(board: Path, record: Make) -> None:
    """A title, an attack or a date writes no control character to a terminal, no line, no formula."""
    row = record([True, False], model="odd", suite="odd-v1")
    attacks = tuple(dataclasses.replace(each, name="\x1b[31m\r\n\u202epgd") for each in row.result.attacks)
    row = dataclasses.replace(
        row,
        result=dataclasses.replace(row.result, attacks=attacks),
        cost=dataclasses.replace(row.cost, engine="=cmd\x00\x1b]0;x\x07"),
    )
    write(row, board)
    publish(board)
    text = (board / "results.csv").read_text()
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == len(text.splitlines()) - 1
    (odd,) = (line for line in lines if line["model"] == "odd")
    assert odd["engine"].startswith("'=cmd\\x00") and r"n_robust:\x1b[31m \u202epgd" in odd


def test_a_suites_page_says_what_its_columns_stand_beside(board: Path) -> None:
    """For each attack of a published suite, beside its parameters."""
    publish(board)
    page = (board / "standard-v1" / "README.md").read_text()
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| (.*?) \| `\{", page, re.MULTILINE)
    assert listed and all(PROTOCOLS[name] == says for name, says in listed)


def test_the_changelog_tells_what_changed(board: Path, record: Make) -> None:
    """New rows, new numbers, a place lost to somebody else, a row that went; dated by the newest row."""
    publish(board)
    assert (board / "CHANGELOG.md").read_text().count("\n- new: ") == 3
    (board / "standard-v1" / "cifar10" / "Linf-8_255" / "short.json").unlink()
    later = record([True] * 360, dataset="digits", model="best")
    later = dataclasses.replace(later, provenance=dataclasses.replace(later.provenance, date="2026-02-03T00:00:00Z"))
    write(later, board)
    done = publish(board)
    entry = (board / "CHANGELOG.md").read_text().split("\n## ")[1].splitlines()
    assert entry[0] == "2026-02-03"
    assert [line.split(":")[0] for line in entry[2:] if line] == ["- new", "- moved", "- moved", "- removed"]
    assert "rank 1, " not in entry[3] and entry[3].endswith("97.22 % robust of 360, rank 2")
    assert done.changes and publish(board).changes == ()


def test_a_killed_publication_is_told_once(board: Path) -> None:
    """The changelog is written first; its entry is not repeated by the next try."""
    publish(board)
    before = (board / "CHANGELOG.md").read_text()
    (board / "results.csv").unlink()
    publish(board)
    assert (board / "CHANGELOG.md").read_text() == before


def test_an_empty_folder_is_a_users_error(tmp_path: Path) -> None:
    """Nothing is written there."""
    with pytest.raises(BenchError, match="No rows in"):
        publish(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_page_behind_a_link_is_refused(board: Path, tmp_path: Path) -> None:
    """Publishing never writes outside the board."""
    outside = tmp_path / "outside.md"
    outside.write_text("mine")
    (board / "README.md").symlink_to(outside)
    with pytest.raises(BenchError, match="symbolic link"):
        publish(board)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("bench run --model a --data-dir /home/x --dataset d --force", "bench run --model a --dataset d"),
        ("bench run --journal=/tmp/j --model 'a b' --quiet", "bench run --model 'a b'"),
        ("bench run 'unfinished", "bench run 'unfinished"),
    ],
)
def test_the_command_to_reproduce_is_nobodys_machine(record: Make, command: str, expected: str) -> None:
    """Folders and devices of the one who ran it are left out."""
    row = record([True])
    row = dataclasses.replace(row, provenance=dataclasses.replace(row.provenance, command=command))
    assert reproduce(row) == expected


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("Wei, Zhao, Li 2024, arXiv 2306.03430", "https://arxiv.org/abs/2306.03430"),
        ("see https://example.org/a_b.", "https://example.org/a_b."),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_only_web_addresses_become_links(reference: str, address: str | None) -> None:
    """And arXiv's numbers."""
    assert link_of(reference) == address


def test_text_and_code_survive_markdown() -> None:
    """What has a meaning in markdown or HTML loses it."""
    assert escape("a|b\n<i>") == r"a\|b &lt;i&gt;"
    assert code("a`b|c") == r"`` a`b\|c ``"


def test_published_numbers_are_possible() -> None:
    """Nobody is more robust than accurate, and each name stands once in its table."""
    for rows in PUBLISHED.values():
        assert all(0 <= row.robust <= row.clean <= 100 for row in rows)
        assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: (root / "model-index" / "stray.md").mkdir(parents=True), "it is a folder"),
        (lambda root: (root / "index.html").mkdir(), "it is a folder"),
        (lambda root: os.mkfifo(root / "README.md"), "named pipe"),
        (lambda root: (root / "results.csv").write_text("suite\n" + "x" * 200_000), "expected columns"),
        (lambda root: (root / "standard-v1" / "suite.json").write_text("5"), "no object"),
    ],
)
def test_a_board_is_published_as_a_whole_or_not_at_all(board: Path, spoil: Callable[[Path], object], says: str) -> None:
    """What stands in the way of one page, or of what is read for one, is found before any is written."""
    spoil(board)
    before = files(board)
    with pytest.raises(BenchError, match=says):
        publish(board)
    assert files(board) == before


def test_text_that_turns_the_text_around_it_is_shown_as_an_escape(tmp_path: Path, record: Make) -> None:
    """No page has a control character or an override of direction from a card."""
    title = "a\u202eb\x1b[31m"
    card = Card(title=title, reference=title, architecture=title, n_parameters=1, extra_data=title)
    root = tmp_path / "board"
    write(record([True, False], card=card), root)
    publish(root)
    for name, content in files(root).items():
        if name.endswith((".md", ".html")):
            text = content.decode()
            assert "\u202e" not in text and "\x1b" not in text, name
    assert "a\\u202eb" in (root / "index.html").read_text()


def test_what_an_earlier_results_csv_says_is_text_in_the_changelog(board: Path) -> None:
    """Whoever edits it can put no markup and no line of their own there."""
    publish(board)
    path = board / "results.csv"
    lines = list(csv.DictReader(io.StringIO(path.read_text())))
    lines[0].update(rank_best="<b>1", n_examples="[x](y)\n- new: z", n_robust="9" * 400)
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0])
    writer.writeheader()
    writer.writerows(lines)
    path.write_text(text.getvalue())
    (line,) = publish(board).changes
    assert "<b>" not in line and "[x]" not in line and "\n" not in line


def tables(page: Path) -> list[str]:
    """The markdown tables of a page."""
    return re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE)


def width(table: str) -> int:
    """How narrow a table can be made, in pixels: a letter has less than 9, a column's margins 27."""
    rows = [re.split(r"(?<!\\)\|", re.sub(r"\]\([^)]*\)", "]", line))[1:-1] for line in table.splitlines()]
    columns = [html.unescape(" ".join(column)).replace("\\", "") for column in zip(*rows, strict=True)]
    return sum(9 * max(map(len, re.split(r"[\s-]+", column))) + 27 for column in columns)


def test_tables_of_all_pages_fit_githubs_column(board: Path, record: Make) -> None:
    """1,012 pixels, however many attacks a suite has; on the committed board, too."""
    naive = Reported(name="naive-pgd-20", parameters={}, n_robust=0, robust=pack_verdicts([False] * 360))
    row = record([True] * 350 + [False] * 10, dataset="digits", model="a-model-with-a-rather-long-name")
    result = dataclasses.replace(
        row.result,
        attacks=tuple(dataclasses.replace(row.result.attacks[0], name=f"attack-{number}") for number in range(12)),
        reported=(naive,),
    )
    write(
        dataclasses.replace(
            row, result=result, digests=dataclasses.replace(row.digests, suite="t" * 64), suite="other-v1"
        ),
        board,
    )
    publish(board)
    for page in (*sorted(board.rglob("*.md")), *sorted(COMMITTED.rglob("*.md"))):
        assert [table[:200] for table in tables(page) if width(table) > 1012] == [], page
    assert len(tables(board / "README.md")) == 4 and tables(COMMITTED / "README.md")
    suite = (board / "other-v1" / "README.md").read_text()
    assert "| attack-11 |" in suite and "not counted" not in suite and "| WRA |" in suite


def test_what_the_board_says_of_itself_is_text(board: Path) -> None:
    """`about.txt` stands above the tables of README and page, one paragraph, as text."""
    (board / "about.txt").write_text("Small <b>networks</b>\nof *ours*.\n")
    publish(board)
    assert "Small &lt;b&gt;networks&lt;/b&gt; of \\*ours\\*." in (board / "README.md").read_text()
    assert "Small &lt;b&gt;networks&lt;/b&gt; of *ours*." in (board / "index.html").read_text()
    (board / "about.txt").write_text("x" * 5000)
    with pytest.raises(BenchError, match=r"about\.txt"):
        publish(board)


def test_twice_the_rows_are_twice_the_work(tmp_path: Path, record: Make) -> None:
    """Counted in calls of functions, from rows to all pages: a board of thousands is published in seconds."""

    def calls(n_rows: int) -> int:
        root = tmp_path / str(n_rows)
        for number in range(n_rows):
            robust = [place < 100 + number for place in range(360)]
            write(record(robust, dataset="digits", model=f"model-{number}"), root)
        count = 0

        def counted(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(counted)
        try:
            render(load(root))
        finally:
            sys.setprofile(None)
        return count

    calls(2)  # what is imported or compiled once
    few, many = calls(15), calls(60)
    assert many < 4.6 * few


def test_a_row_can_be_cited(record: Make) -> None:
    """BibTeX with what was found and whose weights; a stranger's title ends no field."""
    row = record(
        [True] * 350 + [False] * 10,
        dataset="digits",
        model="evil",
        card=dataclasses.replace(EVIL, title="a}, b = {c_&"),
    )
    (group,) = arrange([Row(path=PurePosixPath("evil.json"), record=row)])
    text = bibtex(group, group.entries[0])
    assert text.startswith(
        "@misc{bench-evil-standard-v1-digits-linf-8-255,\n  title = {Robust accuracy of {a, b = c\\_\\&} on"
    )
    assert "97.22 \\% of the first 360 test images (94.96 to 98.48); weights mmmmmmmmmmmm" in text
    assert text.count("{") == text.count("}")


def test_the_pages_questions_are_the_doctors() -> None:
    """Pages are made without torch, so they have the checks' questions once more."""
    assert {check.id: check.question for check in select()} == QUESTIONS


def test_pages_show_between_what_a_certified_row_lies(board: Path) -> None:
    """[certified, attacked] in its table, and in the numbers; a board without certificates has no such column."""
    publish(board)
    assert not any(b"certified, attacked" in content or b"n_certified" in content for content in files(board).values())
    (path,) = board.glob("*/*/*/strong.json")
    record = read(path)
    proved = pack_verdicts([position < 90 for position in range(100)])
    certificate = Certificate(
        method="<b>by hand", code="c", model=record.digests.model, indices="0:100", n_proved=90, proved=proved
    )
    amend(path, dataclasses.replace(record, certificate=certificate))
    publish(board)
    table = (board / "standard-v1" / "README.md").read_text()
    assert "[certified, attacked]" in table.replace("\\", "") and "[25.00, 97.22]" in table.replace("\\", "")
    page = (board / "index.html").read_text()
    assert "[25.00, 97.22]" in page and "&lt;b&gt;by hand" in page and "<b>by hand" not in page
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO((board / "results.csv").read_text()))}
    assert (lines["strong"]["n_certified"], lines["evil"]["n_certified"]) == ("90", "")
