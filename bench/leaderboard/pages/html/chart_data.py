"""The numbers that the page's charts draw; percentages, rounded as the tables show them."""

from __future__ import annotations

from typing import Any

from bench.core.types import ThreatModel
from bench.leaderboard.pages.board import Board
from bench.leaderboard.pages.html.pictures import all_pictures
from bench.leaderboard.pages.literature import published_for
from bench.leaderboard.pages.share import Share
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.pages.wording import title_of
from bench.row import Record

__all__ = ["chart_data", "epsilon_curve", "identity", "passes_curve"]


def identity(group: Group, entry: Entry) -> str:
    """The row's name as part of an address."""
    return f"{group.anchor}--{entry.record.model}"


def chart_data(board: Board) -> dict[str, Any]:
    """Everything that is drawn, by table and by row."""
    pairs = [(group, entry) for group in board.groups for entry in group.entries]
    return {
        "groups": {group.anchor: _group(group) for group in board.groups},
        "rows": {identity(group, entry): _row(board, group, entry) for group, entry in pairs},
        "pictures": all_pictures(board.entries),
    }


def passes_curve(entry: Entry) -> list[dict[str, Any]]:
    """What is left of the table's examples after each attack, over the passes an example that it took so far."""
    result, cost = entry.record.result, {each.name: each for each in entry.record.cost.attacks}
    left, spent, points = list(result.clean_verdicts()), 0.0, []
    for attack in result.attacks:
        if attack.name not in cost:
            return []
        robust = result.robust_verdicts(attack)
        left = [before and after for before, after in zip(left, robust, strict=True)]
        spent += (cost[attack.name].forwards + cost[attack.name].backwards) / result.n_examples
        share = Share(count=sum(left[: entry.robust.total]), total=entry.robust.total)
        points.append({"x": round(max(spent, 1.0), 1), "name": attack.name, **_ends(share)})
    return points


def epsilon_curve(board: Board, entry: Entry) -> list[dict[str, Any]]:
    """Robust accuracy of this very checkpoint at every epsilon that the suite was run with."""
    record, asked = entry.record, ThreatModel.parse(entry.record.threat_model)
    points = []
    for other in board.entries:
        threat_model = ThreatModel.parse(other.record.threat_model)
        if _same_but_epsilon(record, other.record) and threat_model.norm is asked.norm:
            name = str(threat_model).partition(":")[2]
            points.append({"x": float(threat_model.epsilon), "name": name, **_ends(other.robust)})
    return sorted(points, key=lambda point: float(point["x"]))


def _same_but_epsilon(first: Record, second: Record) -> bool:
    return (first.model, first.suite, first.dataset, first.digests) == (
        second.model,
        second.suite,
        second.dataset,
        second.digests,
    )


def _group(group: Group) -> dict[str, Any]:
    published = published_for(group.dataset, group.threat_model)
    return {
        "rows": [_point(group, entry) for entry in group.entries],
        "published": [{"name": row.name, "clean": row.clean, "robust": row.robust} for row in published],
    }


def _point(group: Group, entry: Entry) -> dict[str, Any]:
    clean, robust = _ends(entry.clean), _ends(entry.robust)
    return {
        "id": identity(group, entry),
        "title": title_of(entry.record),
        "ranked": entry.rank is not None,
        "place": f"rank {entry.rank}" if entry.rank is not None else f"no rank: {'; '.join(entry.unranked)}",
        "clean": clean["value"],
        "clean_low": clean["low"],
        "clean_high": clean["high"],
        "robust": robust["value"],
        "low": robust["low"],
        "high": robust["high"],
    }


def _row(board: Board, group: Group, entry: Entry) -> dict[str, Any]:
    shares = [(each.name, entry.attack(each.name), True) for each in entry.record.result.attacks]
    shares += [(each.name, entry.reported(each.name), False) for each in entry.record.result.reported]
    attacks = [
        {"name": name, "left": _percent(share.fraction), "counts": counts, **_ends(share)}
        for name, share, counts in [("clean", entry.clean, True), *shares]
        if share is not None
    ]
    return {
        "group": group.anchor,
        "title": title_of(entry.record),
        "attacks": attacks,
        "passes": passes_curve(entry),
        "epsilons": epsilon_curve(board, entry),
    }


def _ends(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"value": _percent(share.fraction), "low": _percent(low), "high": _percent(high)}


def _percent(fraction: float) -> float:
    return round(100 * fraction, 2)
