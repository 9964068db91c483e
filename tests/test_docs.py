"""What the README and the docs show is run, so that it stays true."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch
import typer

from bench.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"\bbench (?:run|merge|list|show|compare|train|publish|check|submit|verify|doctor|analyze)"
    r"(?: --?[^`\n|]*| [^`\n|]+)?"
)
LINK = re.compile(r"\]\(([^):#]+)\)")


def code_blocks() -> list[object]:
    return [
        pytest.param(code, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, code in enumerate(CODE.findall(page.read_text()))
    ]


@pytest.mark.parametrize("code", code_blocks())
def test_every_python_example_runs(code, tmp_path, monkeypatch):
    """As it stands, in an empty folder."""
    monkeypatch.chdir(tmp_path)
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
    shown = [line for page in PAGES for line in COMMAND.findall(page.read_text())]
    assert len(shown) > 8
    for line in shown:
        name, *words = line.split()[1:]
        known = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Relative links are files of the project."""
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
