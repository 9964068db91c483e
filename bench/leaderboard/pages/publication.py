"""From the rows in a folder to the pages in it: the same rows give the same bytes.

`CHANGELOG.md` alone also depends on what was published before, which `results.csv` holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.core.errors import BenchError
from bench.leaderboard.pages import changelog, markdown
from bench.leaderboard.pages.board import Board, load, no_rows
from bench.leaderboard.pages.html import html_page
from bench.leaderboard.pages.model_index import model_index
from bench.leaderboard.pages.spreadsheet import read_csv, to_csv
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.store import locked, row_paths, without_links
from bench.storage import Place, matching, read_regular, write_durably

__all__ = ["MODEL_INDEX", "Publication", "outdated", "publish", "render"]

MODEL_INDEX = "model-index"
"""The folder of the models' metadata, a page each."""
_README = "README.md"
_RESULTS = "results.csv"
_CHANGELOG = "CHANGELOG.md"
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What `publish` did.

    Args:
        board: what the pages show.
        pages: all of the board's.
        written: pages that were new or had to change.
        removed: pages of models that have no row any more.
        unchanged: how many pages were right already.
        changes: what the changelog's new entry says, a line each.
    """

    board: Board
    pages: tuple[PurePosixPath, ...]
    written: tuple[PurePosixPath, ...]
    removed: tuple[PurePosixPath, ...]
    unchanged: int
    changes: tuple[str, ...]


def publish(root: Place, *, notify: Callable[[str], None] = lambda line: None) -> Publication:
    """Write the pages of the board in `root`: all of them, or none where one cannot be made.

    Args:
        root: the board's folder.
        notify: called before waiting for another writer, with a line that says for whom.

    Raises:
        BenchError: if there are no rows, one is damaged, or the folder cannot be written.
        WorkFailedError: if another writer holds the board for too long, or the disk is full.
    """
    if not row_paths(root):
        raise no_rows(root)
    with locked(root, notify):
        return _publish(root)


def _publish(root: Place) -> Publication:
    board = load(root)
    pages = render(board)
    found = changelog.changes(_published_before(root), read_csv(pages[PurePosixPath(_RESULTS)], source=_RESULTS))
    entries = changelog.updated(_text(root, PurePosixPath(_CHANGELOG)) or "", found, board.date)
    # Before results.csv: a publication that is killed in between is told to the next one by the old file.
    pages = {PurePosixPath(_CHANGELOG): entries, **pages}
    # Whatever can be wrong with rows, pages or what lies in their place is found before the first page is written.
    contents = {path: text.encode() for path, text in pages.items() if _text(root, path) != text}
    removed = _strays(root, pages)
    for path in removed:
        _text(root, path)
    for path, content in contents.items():
        write_durably(root / path, content)
    for path in removed:
        (root / path).unlink()
    return Publication(
        board=board,
        pages=tuple(pages),
        written=tuple(contents),
        removed=removed,
        unchanged=len(pages) - len(contents),
        changes=found,
    )


def outdated(root: Place) -> tuple[str, ...]:
    """Which pages differ from the rows, a line each; nothing where all are right.

    Raises:
        BenchError: if a row is damaged.
    """
    pages = render(load(root))
    found = [_outdated(root, path, text) for path, text in pages.items()]
    if _text(root, PurePosixPath(_CHANGELOG)) is None:
        found.append(f"{_CHANGELOG} is missing")
    found += [f"{path} is of a model that has no row" for path in _strays(root, pages)]
    return tuple(each for each in found if each)


def render(board: Board) -> dict[PurePosixPath, str]:
    """All pages but the changelog, by their path under the board's folder."""
    return {
        PurePosixPath(_README): markdown.board_page(board),
        **{
            PurePosixPath(suite.label, _README): markdown.suite_page(board.of_suite(suite.label), suite)
            for suite in board.suites
        },
        **_model_indices(board),
        PurePosixPath("index.html"): html_page(board),
        PurePosixPath(_RESULTS): to_csv(board),
    }


def _model_indices(board: Board) -> dict[PurePosixPath, str]:
    rows: dict[str, list[tuple[Group, Entry]]] = {}
    for group in board.groups:
        for entry in group.entries:
            rows.setdefault(entry.record.model, []).append((group, entry))
    return {PurePosixPath(MODEL_INDEX, f"{model}.md"): model_index(rows[model]) for model in sorted(rows)}


def _published_before(root: Place) -> tuple[dict[str, str], ...]:
    text = _text(root, PurePosixPath(_RESULTS))
    return read_csv(text, source=str(root / _RESULTS)) if text is not None else ()


def _outdated(root: Place, path: PurePosixPath, text: str) -> str:
    there = _text(root, path)
    if there is None:
        return f"{path} is missing"
    return f"{path} differs from the rows" if there != text else ""


def _strays(root: Place, pages: dict[PurePosixPath, str]) -> tuple[PurePosixPath, ...]:
    there = (PurePosixPath(MODEL_INDEX, path.name) for path in matching(root, f"{MODEL_INDEX}/*.md"))
    return tuple(path for path in there if path not in pages)


def _text(root: Place, path: PurePosixPath) -> str | None:
    """A page as it lies there; None where there is none."""
    place = without_links(root, root / path)
    try:
        return read_regular(place, most_bytes=_MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"Cannot read {place}: {error.strerror or error}.") from error
