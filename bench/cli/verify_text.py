"""What `bench verify` shows: as text, and as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli.layout import table, wrapped
from bench.cli.tables import clock, percent
from bench.core.plain_text import plain
from bench.row import Level, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.jobs.contribute import Added
    from bench.jobs.second_opinion import Attacked
    from bench.jobs.transfer import Transferred
    from bench.jobs.verify import Verification

__all__ = [
    "added_text",
    "added_values",
    "attacked_text",
    "attacked_values",
    "transferred_text",
    "transferred_values",
    "verification_text",
    "verification_values",
]

_SHOWN = 12


def verification_values(found: Verification) -> dict[str, Any]:
    """What verifying a row found, as JSON values."""
    return {
        "path": str(found.path),
        "holds": not found.failed,
        "n_robust": found.n_robust,
        "headline": found.headline,
        "n_examples": found.record.result.n_examples if found.record is not None else None,
        "checks": [{"name": each.what, "status": _word(each.level), "says": each.evidence} for each in found.checks],
        "marginal": [vars(each) for each in found.marginal],
        "seconds": round(found.seconds, 3),
    }


def verification_text(found: Verification) -> str:
    """The same as text: a table of checks, the marginal verdicts, and the number."""
    cells = [(check.what, _word(check.level), check.evidence) for check in found.checks]
    parts = [plain(str(found.path)), table(("check", "status", "what was found"), cells)]
    if found.marginal:
        shown = ", ".join(f"{each.index} ({each.of}, margin {each.margin:.2g})" for each in found.marginal[:_SHOWN])
        more = f" and {len(found.marginal) - _SHOWN} more" if len(found.marginal) > _SHOWN else ""
        parts.append(f"Marginal, decided by no more than rounding: {shown}{more}")
    return wrapped("\n\n".join([*parts, _conclusion(found)]))


def added_values(added: Added) -> dict[str, Any]:
    """What became of claimed breaks, as JSON values."""
    return {
        "path": str(added.path),
        "new": list(added.new),
        "known": list(added.known),
        "refused": list(added.refused),
        "outside": list(added.outside),
        "n_robust": added.record.result.n_robust,
        "headline": added.record.n_robust,
        "n_examples": added.record.result.n_examples,
    }


def added_text(added: Added) -> str:
    """The same as text."""
    lines = [
        ("new", added.new, "broken for the first time"),
        ("known", added.known, "hold, but these examples count as not robust already"),
        ("refused", added.refused, "classified correctly, or misclassified by no more than rounding"),
        ("outside", added.outside, "outside the ball or the box; judged as what they are pulled back to"),
    ]
    cells = [(name, len(found), _indices(found), what) for name, found, what in lines if found]
    total, path = added.record.result.n_examples, plain(str(added.path))
    headline = f"Robust accuracy {percent(added.record.n_robust / total)} ({added.record.n_robust} of {total})"
    changed = f"stored in {path}" if added.new else f"nothing new for {path}"
    return wrapped(f"{table(('breaks', 'n', 'examples', ''), cells)}\n\n{headline}, {changed}.")


def attacked_values(found: Attacked) -> dict[str, Any]:
    """What attacking a row's survivors found, as JSON values."""
    return {
        "path": str(found.path),
        "n_survivors": found.n_survivors,
        "tries": found.n_tries,
        "out_of_time": found.out_of_time,
        "examples": [
            {"index": index, "margin_in_row": before, "margin": after, "broken_by": found.how.get(index)}
            for index, before, after in zip(found.tried, found.before, found.after, strict=True)
        ],
        "stored": [index for each in found.kept for index in each.indices],
        "headline": found.record.n_robust,
        "n_examples": found.record.result.n_examples,
        "seconds": round(found.seconds, 3),
    }


def attacked_text(found: Attacked) -> str:
    """The same as text: the closest ones, and what fell."""
    cells = [
        (index, f"{before:.4f}", f"{after:.4f}", found.how.get(index, ""))
        for index, before, after in zip(found.tried, found.before, found.after, strict=True)
    ]
    shown = [each for place, each in enumerate(cells) if place < _SHOWN or each[3]]
    headers = ("example", "margin in the row", "smallest margin now", "broken by")
    what = f"{found.n_tries} tries on each of the {len(found.tried)} closest of {found.n_survivors} robust examples"
    ended = ", ended by --budget" if found.out_of_time else ""
    stored = sum(each.n for each in found.kept)
    total = found.record.result.n_examples
    headline = f"Robust accuracy {percent(found.record.n_robust / total)} ({found.record.n_robust} of {total})"
    fell = f"{stored} fell and are stored in {plain(str(found.path))}" if stored else "none fell"
    lines = table(headers, shown, right=headers[:3])
    return wrapped(f"{lines}\n\n{what} in {clock(found.seconds)}{ended}: {fell}. {headline}.")


def transferred_values(each: Transferred) -> dict[str, Any]:
    """What transfer did to one row, as JSON values."""
    return {
        "path": str(each.path),
        "tried": each.n_tried,
        "found": [to_json(found) for found in each.found],
        "skipped": each.skipped or None,
        "headline": each.record.n_robust,
        "n_examples": each.record.result.n_examples,
    }


def transferred_text(results: Sequence[Transferred]) -> str:
    """What transfer did, a line for each row."""
    cells = []
    for each in results:
        record = each.record
        what = each.skipped or "; ".join(f"{found.n} {found.source}" for found in each.found) or "nothing new"
        place = f"{record.suite} {record.dataset} {record.threat_model}"
        headline = f"{record.n_robust}/{record.result.n_examples}"
        cells.append((record.model, place, each.n_tried, headline, what))
    return table(("model", "row", "tried", "robust", "broken by"), cells, right=("tried", "robust"))


def _word(level: Level) -> str:
    return "skip" if level is Level.NOT_APPLICABLE else level.value


def _conclusion(found: Verification) -> str:
    seconds = f"{found.seconds:.1f} s, no attack was run"
    if found.record is None or found.n_robust is None or found.headline is None:
        return f"Robust accuracy could not be derived again ({seconds})."
    total = found.record.result.n_examples
    text = f"Robust accuracy {percent(found.n_robust / total)} ({found.n_robust} of {total})"
    if found.headline != found.n_robust:
        text += f", {percent(found.headline / total)} ({found.headline}) with what others found"
    return f"{text}, derived again from the evidence ({seconds})."


def _indices(found: tuple[int, ...]) -> str:
    more = " ..." if len(found) > _SHOWN else ""
    return " ".join(map(str, found[:_SHOWN])) + more
