"""`bench journal`: what is kept of runs, and its removal."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import table, wrapped
from bench.cli.options import Json
from bench.cli.output import json_text, say
from bench.core.errors import BenchError
from bench.storage import Place, place

if TYPE_CHECKING:
    from bench.jobs.journals import Kept

__all__ = ["Action", "journal"]


class Action(str, enum.Enum):
    """What to do with journals."""

    LIST = "list"
    REMOVE = "remove"


def journal(
    action: Annotated[Action, typer.Argument(help="List journals, or remove them.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Those to remove, as the list names them.")
    ] = None,
    folder: Annotated[
        Place | None,
        typer.Option(
            "--journal",
            parser=place,
            metavar="DIR",
            help="A journal, or a folder that holds some; by default those in your cache.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all of them.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is kept of runs, how large it is, and the command that goes on with it; or remove it.

    A journal that another process uses is not removed, and nothing but journals is.

    \b
    Examples:
      bench journal list
      bench journal remove quick-v1-Linf-1_10-0123456789abcdef
      bench journal remove --all --journal /scratch/runs
    """
    from bench.jobs.journals import default_folder, kept_in, remove

    root = folder if folder is not None else default_folder()
    if not isinstance(root, Path):
        raise BenchError(f"Journals at {root} are listed and removed with the tools of that store; name a folder.")
    if action is Action.LIST:
        if names or everything:
            raise BenchError("`bench journal list` lists all journals; leave NAME and --all out.")
        found = kept_in(root)
        say(_as_json(found) if as_json else _as_text(found, root))
        return
    if bool(names) is everything:
        raise BenchError("Say which journals to remove: their names as `bench journal list` shows them, or --all.")
    gone = remove(root, names or [])
    told = f"Removed {len(gone)} from {root}: {_size(sum(each.n_bytes for each in gone))}."
    say(_as_json(gone) if as_json else told)


def _as_json(found: list[Kept]) -> str:
    return json_text(
        [
            {
                "name": each.name,
                "path": str(each.path),
                "bytes": each.n_bytes,
                "entries": each.n_entries,
                "modified": datetime.fromtimestamp(each.modified).astimezone().isoformat(timespec="seconds"),
                "header": each.header,
            }
            for each in found
        ]
    )


def _as_text(found: list[Kept], root: Path) -> str:
    if not found:
        return f"No journals in {root}."
    cells = [
        (
            each.name,
            _size(each.n_bytes),
            each.n_entries,
            f"{datetime.fromtimestamp(each.modified).astimezone():%Y-%m-%d %H:%M}",
            each.header.command or "the same call" if each.header is not None else "nothing: its header is damaged",
        )
        for each in found
    ]
    headers = ("journal", "size", "entries", "last written", "goes on with")
    total = f"{len(found)} in {root}: {_size(sum(each.n_bytes for each in found))}."
    shown = table(headers, cells, right=("size", "entries"))
    return wrapped(f"{shown}\n\n{total} `bench journal remove NAME` removes one.")


def _size(n_bytes: int) -> str:
    """Bytes in decimal units.

    >>> _size(1_500_000)
    '1.5 MB'
    """
    size, units = float(n_bytes), ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"
