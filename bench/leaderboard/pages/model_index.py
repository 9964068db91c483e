"""Metadata for a model card, as Hugging Face reads it: a `model-index` of every row of a model.

The format is YAML; strings are written as JSON, which YAML includes, so no text of a row can break out of its field.
All numbers are of the examples that the table is about, and what there is to doubt in one stands in its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.leaderboard.pages.share import Share
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.pages.wording import doubts, title_of

__all__ = ["model_index"]

_TASK = "image-classification"


def model_index(rows: Sequence[tuple[Group, Entry]]) -> str:
    """The front matter of one model's card.

    Args:
        rows: all rows of one model, at least one, each with its table.
    """
    lines = ["model-index:", f"- name: {_text(title_of(rows[0][1].record))}", "  results:"]
    for group, entry in rows:
        lines += _result(group, entry)
    return "\n".join(["---", *lines, "---", ""])


def _result(group: Group, entry: Entry) -> list[str]:
    record = entry.record
    seen = f"[{record.result.indices}]" if entry.full is None else f"the first {entry.robust.total}"
    lines = [
        "  - task:",
        f"      type: {_TASK}",
        "      name: Adversarial robustness",
        "    dataset:",
        f"      type: {_text(group.dataset)}",
        f"      name: {_text(f'{group.dataset}, test {seen}')}",
        "      split: test",
        "    metrics:",
    ]
    where = f"{group.threat_model}, {group.suite}"
    lines += _metric("accuracy", "Clean accuracy", entry.clean)
    lines += _metric("robust_accuracy", f"Robust accuracy ({'; '.join((where, *doubts(entry)))})", entry.robust)
    for attack in record.result.attacks:
        share = entry.attack(attack.name)
        if share is not None:
            lines += _metric("robust_accuracy", f"Accuracy under {attack.name} ({where})", share)
    return lines


def _metric(kind: str, name: str, share: Share) -> list[str]:
    return [
        f"    - type: {kind}",
        f"      name: {_text(name)}",
        f"      value: {share.fraction:.4f}",
    ]


def _text(value: str) -> str:
    return json.dumps(value)
