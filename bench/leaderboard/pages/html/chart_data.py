"""The numbers that the page's charts and comparisons draw; percentages, rounded as the tables show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.types import ThreatModel
from bench.leaderboard.pages.board import Board
from bench.leaderboard.pages.html.pictures import all_pictures, pairs_each, pictures
from bench.leaderboard.pages.literature import published_for
from bench.leaderboard.pages.share import Share
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.pages.wording import millions, title_of
from bench.row import Record, pack_verdicts, parse_indices

__all__ = ["chart_data", "epsilon_curves", "identity", "passes_curve", "report_data"]

_MOST_COMPARED = 50_000  # examples whose verdicts a page holds, to tell which two models differ on


def identity(group: Group, entry: Entry) -> str:
    """The row's name as part of an address."""
    return f"{group.anchor}--{entry.record.model}"


def chart_data(board: Board) -> dict[str, Any]:
    """Everything that is drawn, by table and by row."""
    pairs = [(group, entry) for group in board.groups for entry in group.entries]
    entries = [entry for _, entry in pairs]
    curves, most = epsilon_curves(board), pairs_each(entries)
    return {
        "groups": {group.anchor: _group(group) for group in board.groups},
        "rows": {
            (name := identity(group, entry)): {**_row(group, entry, most), "epsilons": _several(curves[name])}
            for group, entry in pairs
        },
        "pictures": all_pictures(entries, most),
    }


def report_data(placed: Mapping[str, tuple[Board, Group, Entry]]) -> dict[str, Any]:
    """The same of rows that may lie on several boards, by names of their own."""
    entries = [entry for _, _, entry in placed.values()]
    most = pairs_each(entries)
    return {
        "rows": {
            name: {**_row(group, entry, most), "epsilons": _several(epsilon_curves(board)[identity(group, entry)])}
            for name, (board, group, entry) in placed.items()
        },
        "pictures": all_pictures(entries, most),
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


def epsilon_curves(board: Board) -> dict[str, list[dict[str, Any]]]:
    """Of each row, by its identity: robust accuracy of its very checkpoint at every epsilon of the suite's rows."""
    found: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    curves = {}
    for group in board.groups:
        threat_model = ThreatModel.parse(group.threat_model)
        epsilon = {"x": float(threat_model.epsilon), "name": str(threat_model).partition(":")[2]}
        for entry in group.entries:
            record = entry.record
            key = (record.model, record.suite, record.dataset, record.digests, threat_model.norm)
            curve = curves[identity(group, entry)] = found.setdefault(key, [])
            curve.append({**epsilon, **_ends(entry.robust)})
    for curve in found.values():
        curve.sort(key=lambda point: float(point["x"]))
    return curves


def _several(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return curve if len(curve) > 1 else []


def _group(group: Group) -> dict[str, Any]:
    published = published_for(group.dataset, group.threat_model)
    return {
        "rows": [_point(group, entry) for entry in group.entries],
        "published": [
            {
                "name": row.name,
                "clean": row.clean,
                "robust": row.robust,
                "text": f"{row.name} {row.architecture} extra data {row.extra_data} {row.note}".lower(),
            }
            for row in published
        ],
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


def _row(group: Group, entry: Entry, most_pictures: int) -> dict[str, Any]:
    shares = [(each.name, entry.attack(each.name), True) for each in entry.record.result.attacks]
    shares += [(each.name, entry.reported(each.name), False) for each in entry.record.result.reported]
    attacks = [
        {"name": name, "counts": counts, **_ends(share)}
        for name, share, counts in [("clean", entry.clean, True), *shares]
        if share is not None
    ]
    card = entry.record.card
    return {
        "group": group.anchor,
        "title": title_of(entry.record),
        "size": millions(card.n_parameters) if card is not None else "",
        "epochs": str(card.epochs or "not stated") if card is not None else "",
        "extra": (card.extra_data or "not stated") if card is not None else "",
        "clean": _ends(entry.clean),
        "robust": _ends(entry.robust),
        "mean": _percent(entry.mean),
        "attacks": attacks,
        "passes": passes_curve(entry),
        "question": _question(entry.record),
        **_verdicts(entry),
        "gallery": [
            {
                "index": pair.index,
                "label": pair.label,
                "predicted": pair.predicted,
                "clean": pair.clean,
                "adversarial": pair.adversarial,
            }
            for pair in pictures(entry, most_pictures)
        ],
    }


def _question(record: Record) -> dict[str, str]:
    """What two rows have to share for their verdicts to be answers to one question, in words of the page."""
    return {
        "version of the data": f"{record.dataset} {record.digests.dataset:.12}",
        "threat model": record.threat_model,
        "suite": f"{record.suite} {record.digests.suite:.12}",
        "seed": str(record.result.seed),
    }


def _verdicts(entry: Entry) -> dict[str, Any]:
    """The first example, how many there are, and which withstood; nothing where they have gaps or are too many."""
    indices, verdicts = parse_indices(entry.record.result.indices), entry.record.verdicts()
    if indices != tuple(range(indices[0], indices[0] + len(indices))) or len(indices) > _MOST_COMPARED:
        return {}
    return {"first": indices[0], "count": len(indices), "verdicts": pack_verdicts(verdicts)}


def _ends(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"value": _percent(share.fraction), "low": _percent(low), "high": _percent(high)}


def _percent(fraction: float) -> float:
    return round(100 * fraction, 2)
