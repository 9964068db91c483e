"""The board as one self-contained page: style, scripts and data inside, everything from rows escaped.

The page's policy lets nothing be fetched and only its own scripts run, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.core.plain_text import counted, plain
from bench.leaderboard.pages import wording
from bench.leaderboard.pages.board import Board
from bench.leaderboard.pages.html.chart_data import chart_data, identity, report_data
from bench.leaderboard.pages.literature import published_for
from bench.leaderboard.pages.tables import Entry, Group
from bench.row import AttackCost, Record, row_digest

__all__ = ["html_page", "report_html"]

_BETWEEN_CELLS = re.compile(r"(</t[dhr]>|<tr[^<>]*>)\s+(?=<)")
_MOST_ROWS = 200  # that a table shows before it is asked for all
_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = ("first.js", "vendor/d3.min.js", "vendor/plot.min.js", "draw.js")


def html_page(board: Board) -> str:
    """The HTML text; it depends on nothing but the rows."""
    return _rendered(
        "template.html",
        "page.js",
        board=board,
        first=max(board.groups, key=_interest),
        n_models=len({entry.record.model for entry in board.entries}),
        data=_plain(chart_data(board)),
        on_board=True,
    )


def report_html(placed: Mapping[str, tuple[Board, Group, Entry]], told: Mapping[str, Any]) -> str:
    """A report on the first of some rows, beside the others.

    Args:
        placed: the rows by the names that the page gives them, each with its board and table.
        told: `verdict`, a sentence; `run`, sentences; `checks`, commands and what each is for.
    """
    (name, (_, group, entry)), *others = placed.items()
    beside = [
        {
            "name": other,
            "title": wording.title_of(found.record),
            "question": f"{table.dataset} \N{MIDDLE DOT} {table.threat_model} \N{MIDDLE DOT} {table.suite}",
        }
        for other, (_, table, found) in others
    ]
    values = {"name": name, "group": group, "entry": entry, "others": beside, "told": told, "on_board": False}
    return _rendered("report.html", "report.js", data=_plain(report_data(placed)), **values)


def _rendered(template: str, script: str, **values: Any) -> str:
    scripts = [_inline(name) for name in (*_SCRIPTS, script)]
    text = (
        _environment()
        .get_template(template)
        .render(style=_inline("style.css"), scripts=scripts, policy=_policy(scripts), **values)
    )
    text = _BETWEEN_CELLS.sub(r"\1", text)  # thousands of rows open faster without a node for each gap
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.globals.update(
        about=_about,
        bibtex=wording.bibtex,
        bracket=wording.bracket,
        costs=_costs,
        digest=row_digest,
        found_by_doctor=wording.found_by_doctor,
        parameters=lambda attack: json.dumps(attack.parameters, sort_keys=True),
        doubts=wording.doubts,
        identity=identity,
        interval=wording.interval,
        link=wording.link_of,
        meaning=wording.meaning,
        most_rows=_MOST_ROWS,
        millions=wording.millions,
        percent=wording.percent,
        published_for=published_for,
        protocols=wording.PROTOCOLS,
        questions=wording.QUESTIONS,
        reproduce=wording.reproduce,
        search_text=_search_text,
        title=wording.title_of,
    )
    return environment


def _plain(value: Any) -> Any:
    """Text from rows without what would turn or hide the text around it; the project's own is as it is."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return plain(value) if type(value) is str else value


@cache
def _inline(name: str) -> Markup:
    """A file of the project, trusted, without trailing spaces, as it stands in the page."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return Markup("\n".join(line.rstrip() for line in text.split("\n")))


def _policy(scripts: list[Markup]) -> str:
    digests = [base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _interest(group: Group) -> tuple[int, int]:
    """The table that the page opens with has the most ranked rows, then the most rows."""
    return group.n_with_rank, len(group.entries)


def _about(group: Group) -> dict[str, str]:
    """What the networks of a table are: how many, of what size, on what data, and what attacking them takes."""
    records = [entry.record for entry in group.entries]
    cards = [record.card for record in records if record.card is not None]
    sizes = sorted(card.n_parameters for card in cards if card.n_parameters)
    extra = sum(card.extra_data not in ("no", None) for card in cards)
    silent = len(records) - sum(card.extra_data is not None for card in cards)
    passes = [_passes(record) for record in records]
    span = dict.fromkeys(wording.millions(size) for size in sizes[:1] + sizes[-1:])
    return {
        "models": counted(len(records), "network"),
        "sizes": " to ".join(span),
        "extra": f"{extra} trained on extra data" if extra else "none trained on extra data" if not silent else "",
        "passes": f"{round(median(passes)):,}",
    }


def _passes(record: Record) -> float:
    """Forwards and backwards an example, of all attacks."""
    return sum(cost.forwards + cost.backwards for cost in record.cost.attacks) / record.result.n_examples


def _costs(record: Record) -> dict[str, AttackCost]:
    return {cost.name: cost for cost in record.cost.attacks}


def _search_text(entry: Entry) -> str:
    """What the filter looks at, in lower case."""
    card = entry.record.card
    parts = [entry.record.model, wording.title_of(entry.record), *wording.doubts(entry)]
    parts += (
        [card.architecture, card.reference, f"extra data {card.extra_data or 'not stated'}"] if card is not None else []
    )
    return " ".join(parts).lower()
