"""`bench publish`: rows to pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import wrapped
from bench.cli.options import DEFAULT_LEADERBOARD, Json, Leaderboard
from bench.cli.output import json_text, remark, say
from bench.core.errors import FoundSomethingError
from bench.core.plain_text import counted

if TYPE_CHECKING:
    from bench.leaderboard.pages import Publication

__all__ = ["publish"]


def publish(
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where the pages differ from the rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the board's pages from its rows: markdown, index.html, results.csv, model-index, CHANGELOG.md.

    Nothing but the files under --leaderboard is read: no data, no models, no clock, no network.

    \b
    Examples:
      bench publish
      bench publish --check
      bench publish --leaderboard my-board --json
    """
    from bench.leaderboard.pages import outdated
    from bench.leaderboard.pages import publish as job

    if check:
        _check(outdated(leaderboard), as_json)
        return
    done = job(leaderboard, notify=remark)
    say(_as_json(done) if as_json else _as_text(done))


def _check(found: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        say(json_text({"outdated": list(found)}))
    if found:
        raise FoundSomethingError(f"{'; '.join(found)}. `bench publish` makes the pages again.")
    if not as_json:
        say("Every page is what the rows say.")


def _as_json(done: Publication) -> str:
    value = {
        "rows": len(done.board.entries),
        "ranked": sum(entry.rank is not None for entry in done.board.entries),
        "written": [str(path) for path in done.written],
        "removed": [str(path) for path in done.removed],
        "unchanged": done.unchanged,
        "changes": list(done.changes),
    }
    return json_text(value)


def _as_text(done: Publication) -> str:
    entries = done.board.entries
    ranked = sum(entry.rank is not None for entry in entries)
    lines = [
        f"{counted(len(entries), 'row')}, {ranked} of them ranked, in {counted(len(done.board.groups), 'table')}:"
        f" {counted(len(done.written), 'page')} written, {len(done.removed)} removed, {done.unchanged} unchanged."
    ]
    lines += [f"  written: {path}" for path in done.written]
    lines += [f"  removed: {path}" for path in done.removed]
    lines += [f"  {change}" for change in done.changes]
    return wrapped("\n".join(lines))
