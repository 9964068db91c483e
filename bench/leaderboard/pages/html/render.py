"""The board as one self-contained page: style, scripts and data inside, everything from rows escaped.

The page's policy lets nothing be fetched and only its own scripts run, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.core.plain_text import plain
from bench.leaderboard.pages import wording
from bench.leaderboard.pages.board import Board
from bench.leaderboard.pages.html.chart_data import chart_data, epsilon_curve, identity, passes_curve
from bench.leaderboard.pages.html.pictures import pictures
from bench.leaderboard.pages.literature import published_for
from bench.leaderboard.pages.tables import Entry, Group
from bench.row import AttackCost, Record

__all__ = ["html_page"]

_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = ("vendor/d3.min.js", "vendor/plot.min.js", "page.js")


def html_page(board: Board) -> str:
    """The HTML text; it depends on nothing but the rows."""
    scripts = [_inline(name) for name in _SCRIPTS]
    text = (
        _environment()
        .get_template("template.html")
        .render(
            board=board,
            first=max(board.groups, key=_interest),
            n_models=len({entry.record.model for entry in board.entries}),
            data=_plain(chart_data(board)),
            style=_inline("style.css"),
            scripts=scripts,
            policy=_policy(scripts),
            epsilons=lambda entry: epsilon_curve(board, entry),
        )
    )
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
        costs=_costs,
        doubts=wording.doubts,
        has_passes=lambda entry: len(passes_curve(entry)) > 1,
        identity=identity,
        interval=wording.interval,
        link=wording.link_of,
        millions=wording.millions,
        n_ranked=lambda group: sum(entry.rank is not None for entry in group.entries),
        percent=wording.percent,
        pictures=pictures,
        published_for=published_for,
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
    return sum(entry.rank is not None for entry in group.entries), len(group.entries)


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
