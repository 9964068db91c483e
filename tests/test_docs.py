"""What the README and the docs show is run, so that it stays true."""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import pytest
import torch
import typer

import bench
from bench.cli.main import app
from bench.diagnostics import CHECKS
from bench.leaderboard.pages import PROTOCOLS
from bench.suites import SUITES, get

ROOT = Path(__file__).resolve().parent.parent
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES]
REFERENCE = runpy.run_path(str(ROOT / "docs" / "hooks.py"))["pages"]()
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES} | REFERENCE

CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"\bbench (?:run|merge|list|show|compare|train|publish|check|certify|submit|verify|doctor|conformance|analyze"
    r"|export|journal)(?: --?[^`\n|]*| [^`\n|]+)?"
)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^ {4}(?:\$ )?bench (.+)$", re.MULTILINE)
ASIDE = re.compile(r" {2,}.*| #.*")  # what a line says beside its command
FILE = re.compile(r"^<!-- file: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^):#]+)\)")


def code_blocks() -> list[object]:
    return [
        pytest.param(name, code, id=f"{Path(name).stem}-{number}")
        for name, text in TEXTS.items()
        for number, code in enumerate(CODE.findall(text))
    ]


def lines(text: str) -> list[str]:
    """The command lines of a page that can be copied, without the program's name: indented, or between fences."""
    fenced = "".join(f"    {line}\n" for block in CONSOLE.findall(text) for line in block.splitlines())
    return [ASIDE.sub("", line) for line in LINE.findall(f"{text}\n{fenced}")]


def files(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go into `folder` with the files that the page says to write, which are imported from there alone."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    for name, code in FILE.findall(TEXTS[page]):
        if "/" not in name:
            Path(name).write_text(code)
            monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)


@pytest.mark.parametrize(("page", "code"), code_blocks())
def test_every_python_example_runs(page, code, tmp_path, monkeypatch):
    """As it stands, in a folder with nothing but the files of its page."""
    files(page, tmp_path, monkeypatch)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # dataclasses look their module up
    exec(compile(code, "example", "exec"), module.__dict__)


def test_the_readmes_own_model_is_evaluated(tmp_path, monkeypatch, capsys):
    """The five lines and the command below them give a row."""
    text = (ROOT / "README.md").read_text()
    source = re.search(r"<!-- file: net\.py -->\n```python\n(.*?)```", text, re.DOTALL)
    command = re.search(r"bench (run --model net\.py:make .*)", text)
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(source[1])
    torch.save({"1.weight": torch.randn(10, 64), "1.bias": torch.zeros(10)}, "net.pth")
    quick = ["--suite", "quick-v1", "--samples", "20", "--journal", "journal"]
    with pytest.raises(SystemExit) as stop:
        app([*command[1].split(), *quick])
    assert stop.value.code == 0, capsys.readouterr().err
    assert "Row written" in capsys.readouterr().out


def test_every_command_that_is_shown_exists():
    """Subcommands and options in README and docs are those of the program."""
    group = typer.main.get_command(app)
    shown = [line for text in TEXTS.values() for line in COMMAND.findall(text)]
    assert len(shown) > 8
    for line in shown:
        name, *words = line.split()[1:]
        known = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, line


def test_every_line_that_can_be_copied_is_one_command():
    """All words are taken, each value is of its option's kind, and nothing that is required is missing."""
    group = typer.main.get_command(app)
    shown = [line for text in TEXTS.values() for line in lines(text)]
    assert len(shown) > 60
    for line in shown:
        name, *words = shlex.split(line)
        if not name.startswith("-"):
            group.commands[name].make_context(name, words)


def test_a_defence_of_ones_own_becomes_a_row(tmp_path, monkeypatch, capsys):
    """The page's commands, in their order, on eight examples and the short suite; the first one warns of its number."""
    page = "docs/get-a-number.md"
    files(page, tmp_path, monkeypatch)
    said = []
    for line in lines(TEXTS[page]):
        name, *words = shlex.split(line.replace("--samples 64", "--samples 8").replace("standard-v1", "quick-v1"))
        if name in ("submit", "compare") or "cifar10" in words:
            continue  # the whole suite, a row of the board, a model of the reader's: parsed above
        more = {"doctor": ["--samples", "8", "--checks", "R3,R5,R7"], "run": ["--suite", "quick-v1"]}
        words = [found for word in words for found in (map(str, Path().glob(word)) if "*" in word else [word])]
        with pytest.raises(SystemExit) as stop:
            app([name, *words, *more.get(name, [])])
        printed = capsys.readouterr()
        said.append(printed.out + printed.err)
        assert stop.value.code == 0, said[-1]
    assert "Check R7 failed" in said[0] and "R7 failed" not in said[1] and len(said) >= 5


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_page_shows_an_example_on_its_first_screen(page):
    """A command or code within the first twenty lines."""
    assert any(line.startswith(("    ", "```")) for line in page.read_text().splitlines()[:20])


def test_every_page_is_in_the_sites_contents():
    """A page that nothing leads to is not read."""
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*(page.name for page in GUIDES), *REFERENCE])


def test_the_reference_has_all_that_there_is():
    """Every command with its options, every suite with its digest, every check, and the functions of the package."""
    commands, python, suites, checks = REFERENCE.values()
    for name, command in typer.main.get_command(app).commands.items():
        section = commands.partition(f"## bench {name}\n")[2].partition("\n## ")[0]
        options = [option for each in command.params for option in each.opts if option.startswith("-")]
        assert options and all(f"`{option}`" in section for option in options)
    assert all(f"## {suite.label}\n" in suites and suite.digest in suites for suite in SUITES)
    assert all(f"| {PROTOCOLS[each.name]} |" in suites for each in get("standard-v1").attacks)
    assert all(f"## {check.id}: {check.question}\n" in checks for check in CHECKS)
    assert all(f"::: bench.{name}\n" in python for name in bench.__all__ if callable(getattr(bench, name)))
    for package, _, name in (path.rpartition(".") for path in re.findall(r"^::: (\S+)$", python, re.MULTILINE)):
        assert name in importlib.import_module(package).__all__, f"{package}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Relative links are files of the project."""
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
