"""What changed on the board since it was last published, as an entry of its `CHANGELOG.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.leaderboard.pages.markdown import code, escape
from bench.leaderboard.pages.wording import percent

__all__ = ["HEADER", "changes", "updated"]

HEADER = "<!-- Written by `bench publish`: what changed against the results.csv before. -->\n\n# Changes of the board\n"

_Line = Mapping[str, str]
_KEY = ("suite", "dataset", "threat_model", "model")


def changes(before: Sequence[_Line], after: Sequence[_Line]) -> tuple[str, ...]:
    """Each new, changed, moved and removed row, one line; nothing where the rows are the same.

    Args:
        before: the lines of the `results.csv` that was published last; empty for a new board.
        after: those of the new one.
    """
    old, new = _by_key(before), _by_key(after)
    found = [f"new: {_name(line)}, {_state(line)}" for key, line in new.items() if key not in old]
    for key, line in new.items():
        if key in old and (what := _difference(old[key], line)):
            found.append(f"{what}: {_name(line)}, {_state(old[key])} \N{RIGHTWARDS ARROW} {_state(line)}")
    found += [f"removed: {_name(line)}, {_state(line)}" for key, line in old.items() if key not in new]
    return tuple(found)


def updated(changelog: str, found: Sequence[str], date: str) -> str:
    """The changelog with an entry for `found` on top, under the newest row's date; unchanged where that is there.

    Args:
        changelog: as it was; empty for none.
        found: what `changes` returned.
        date: of the newest row.
    """
    if not found:
        return changelog
    entry = f"\n## {escape(date)}\n\n" + "".join(f"- {line}\n" for line in found)
    older = changelog.removeprefix(HEADER)
    # Published, and killed before results.csv was written: the entry is there already.
    return changelog if older.startswith(entry) else HEADER + entry + older


def _by_key(lines: Sequence[_Line]) -> dict[tuple[str, ...], _Line]:
    return {tuple(line[name] for name in _KEY): line for line in lines}


def _difference(old: _Line, new: _Line) -> str:
    """What kind of change it is: of the checkpoint, of the numbers, or of the place among the others alone."""
    if old.get("model_digest") != new["model_digest"]:
        return "new checkpoint"
    if any(old.get(name) != new[name] for name in ("n_examples", "n_clean", "n_robust")):
        return "new numbers"
    if any(old.get(name) != new[name] for name in ("rank_best", "rank_worst", "unranked")):
        return "moved"
    return ""


def _name(line: _Line) -> str:
    return (
        f"{code(line['model'])} on {escape(line['dataset'])}, {escape(line['threat_model'])}, {escape(line['suite'])}"
    )


def _state(line: _Line) -> str:
    best, worst = escape(line.get("rank_best") or ""), escape(line.get("rank_worst") or "")
    place = f"rank {best}" if best == worst else f"rank {best}\N{EN DASH}{worst}"
    try:
        robust = percent(int(line["n_robust"]) / int(line["n_examples"]))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        robust = "?"
    number = f"{robust} % robust of {escape(line.get('n_examples') or '?')}"
    return f"{number}, {place}" if best else f"{number}, unranked"
