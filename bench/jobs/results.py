"""Results of analyses on disk: one for each analysis and dataset, with its figures, and a page about all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from bench.analysis import ANALYSES, Report, dump_report, make_page, read_report
from bench.models import shipped_digest
from bench.storage import matching, write_durably

__all__ = ["results_in", "write_page", "write_result"]


def results_in(folder: Path) -> list[Report]:
    """All results in a folder.

    Raises:
        BenchError: if another JSON file lies there.
    """
    return [read_report(path) for path in matching(folder, "*.json")]


def write_result(report: Report, figures: Mapping[str, Mapping[str, bytes]], folder: Path) -> tuple[Path, ...]:
    """Store a result: figures first, then what names them, so that nothing points to what is not there.

    Args:
        report: the result.
        figures: their files by name and ending.
        folder: where to.

    Returns:
        The file of the result, then those of the figures.
    """
    pictures = {f"{name}.{ending}": content for name, files in figures.items() for ending, content in files.items()}
    for name, content in pictures.items():
        write_durably(folder / name, content)
    result = folder / f"{report.stem}.json"
    write_durably(result, dump_report(report).encode())
    _remove_stale(folder, report, set(pictures))
    return (result, *(folder / name for name in pictures))


def write_page(folder: Path, file: Path) -> None:
    """Write the page about all results of `folder` to `file`."""
    relative = Path(os.path.relpath(folder, file.parent)).as_posix()
    text = make_page(results_in(folder), ANALYSES, folder=relative, shipped_digest=shipped_digest)
    write_durably(file, text.encode())


def _remove_stale(folder: Path, report: Report, new: set[str]) -> None:
    """Remove figures of an earlier result of this name that had more of them."""
    figure = re.compile(rf"{re.escape(report.stem)}-[0-9]+\.(png|svg|pdf)")
    for path in folder.iterdir():
        if figure.fullmatch(path.name) and path.name not in new:
            path.unlink()
