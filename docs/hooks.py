"""What mkdocs adds to these pages: the reference, made from the code, the board, and links out of the folder."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench import attacks
from bench.cli.main import app
from bench.diagnostics import JUDGED, select
from bench.leaderboard.pages import PROTOCOLS
from bench.suites import SUITES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
BOARD = "board/index.html"
OUTWARD = re.compile(r"\[([^]]*)\]\(\.\./([^)\s]+)\)")
# What is promised to whoever imports bench.
API = {
    "bench": ("evaluate", "load_dataset", "load_model", "rows", "Examples", "ThreatModel"),
    "bench.evaluation": ("Evaluation", "AttackOutcome", "Progress"),
    "bench.models": ("LoadedModel", "Normalize", "names"),
    "bench.data": ("Dataset", "names"),
    "bench.suites": ("AttackSuite", "get", "names"),
    "bench.attacks": ("SingleAttack", "get", "names"),
    "bench.leaderboard": ("read", "read_all"),
    "bench.leaderboard.compare": ("Comparison", "compare"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the board as it is."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, BOARD, abs_src_path=str(ROOT / "leaderboard" / "index.html")))
    return files


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: Any) -> str:
    """Links to files beside `docs/` lead to the board or the repository; where that is unknown, their words stay."""

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        return f"[{words}]({config.repo_url.rstrip('/')}/blob/HEAD/{target})" if config.repo_url else words

    for page in ("index.html", "README.md"):
        markdown = markdown.replace(f"](../leaderboard/{page})", f"]({BOARD})")
    return OUTWARD.sub(link, markdown)


def pages() -> dict[str, str]:
    """The pages that are made from the code, by their paths."""
    made = {"commands": _commands(), "python": _python(), "suites": _suites(), "checks": _checks()}
    return {f"reference/{name}.md": "\n".join(lines) + "\n" for name, lines in made.items()}


def _commands() -> Iterator[str]:
    yield """# Command line

    bench run --model pgd-at --dataset digits --suite quick-v1 --samples 8

Exit codes: 0 fine, 1 a check found something, 2 your mistake (in one line), 3 work that failed after its retries (the
rest kept), 70 a fault of bench, 130 interrupted. `bench --install-completion` teaches your shell these words.
"""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        told, _, examples = inspect.cleandoc(command.help).replace("\b", "").partition("Examples:")
        yield f"## bench {name}\n\n{told.strip()}\n\n```console"
        yield from (line.strip() for line in examples.strip().splitlines())
        yield "```\n\n| option | |\n|---|---|"
        for each in command.params:
            words = ", ".join(f"`{word}`" for word in each.opts if word.startswith("-"))
            yield f"| {words} {_cell(each.metavar or '')} | {_cell(each.help or '')} |"
        yield ""


def _python() -> Iterator[str]:
    yield """# Python

```python
import bench

dataset = bench.load_dataset("digits")
model = bench.load_model("pgd-at", dataset=dataset).module
examples = dataset.examples[:8]
found = bench.evaluate(model, examples, threat_model="Linf:1/10", suite="quick-v1")
print(f"robust {found.n_robust} of {found.n_examples}")
```
"""
    for package, names in API.items():
        module = importlib.import_module(package)
        yield f"## {package}\n\n{(inspect.getdoc(module) or '').partition(chr(10))[0]}\n"
        yield from (f"::: {package}.{name}\n" for name in names)


def _suites() -> Iterator[str]:
    yield """# Suites

    bench run --model pgd-at --dataset digits --suite quick-v1

A suite is a frozen list of attacks with all their parameters; a published one never changes. What a column's number may
be compared with: [beside published numbers](../numbers.md#beside-published-numbers).
"""
    for suite in SUITES:
        yield f"## {suite.label}\n\n{suite.summary}.\n\nDigest `{suite.digest}`.\n"
        yield from _attacks(suite.attacks)
        for rule in suite.rules:
            yield f"### On a model that declares `{rule.structure}`\n"
            yield from _attacks(rule.attacks)
            if rule.reports:
                yield "Shown beside them, and never counted:\n"
                yield from _attacks(rule.reports)


def _attacks(listed: Sequence[Any]) -> Iterator[str]:
    yield "| attack | | stands beside | parameters |\n|---|---|---|---|"
    for each in listed:
        said = (inspect.getdoc(type(each)) or "").partition("\n")[0]
        told = {name: value for name, value in attacks.parameters(each).items() if name != "name"}
        yield f"| `{each.name}` | {_cell(said)} | {PROTOCOLS.get(each.name, '')} | {_cell(_told(told))} |"
    yield ""


def _told(value: Any) -> str:
    """Parameters as words: names and values, those of parts in brackets."""
    if isinstance(value, dict):
        return ", ".join(f"`{name}` {_part(each)}" for name, each in value.items())
    return "; ".join(map(_part, value)) if isinstance(value, list) else str(value)


def _part(value: Any) -> str:
    return f"({_told(value)})" if isinstance(value, (dict, list)) and value else _told(value)


def _checks() -> Iterator[str]:
    yield """# Checks

    bench doctor --model pgd-at --dataset digits --checks R3,R7

What is measured, what fails, and from whom it is: [the doctor](../doctor.md).
"""
    for check in select():
        told = (inspect.getdoc(inspect.getmodule(check.examine)) or "").partition("\n")[2].strip()
        every = check.short is not None or check.id in JUDGED
        when = "Part of every `bench run`." if every else "Part of `bench doctor` alone."
        yield f"## {check.id}: {check.question}\n\n{told}\n\n{when} Where the answer is bad: {check.next}\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
