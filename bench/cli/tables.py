"""Rows as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.cli.layout import table, wrapped
from bench.core.plain_text import plain
from bench.row import AttackResult, Audit, BlackBox, Record

__all__ = ["clock", "percent", "row_table", "rows_table"]


def row_table(record: Record, *, form: Callable[..., str] = table) -> str:
    """One row: clean, each attack with its stages, what others broke, and robust accuracy with its interval.

    Args:
        record: the row.
        form: makes a table as `table` does.
    """
    result = record.result
    cells: list[Sequence[object]] = [("clean", *_share(result.n_clean, result.n_examples), "", "", "")]
    for attack in result.attacks:
        cells.append((attack.name, *_share(attack.n_robust, result.n_examples), *_cost(record, attack)))
        cells += [(f"- {each.name}", *_share(each.n_robust, result.n_examples), "", "", "") for each in attack.stages]
    if record.external_breaks:
        cells.append(("broken by others", *_share(record.n_robust, result.n_examples), "", "", ""))
    headers = ("attack", "robust", "accuracy", "time", "forwards", "backwards")
    title = (
        f"{record.model} on {record.dataset} [{result.indices}], {record.threat_model}, {record.suite},"
        f" seed {result.seed}, {record.cost.engine} engine on {record.cost.device}"
    )
    if record.preprocessing is not None:
        title += f"\nImages: {record.preprocessing}"
    shown = "\n".join(map(plain, title.splitlines()))
    if form is not table:
        robust, share = _share(record.n_robust, result.n_examples)
        last = ("all", robust, f"{share} [{_interval(record)}]", "", "", "")
        return form(headers, [*cells, last], right=headers[1:])
    parts = [wrapped(shown), "", table(headers, cells, right=headers[1:]), "", wrapped(_conclusion(record))]
    return "\n".join([*parts, "", _reported(record)] if result.reported else parts)


def _reported(record: Record) -> str:
    """What is reported beside the verdicts: the counts, and below each its statistics."""
    cells: list[Sequence[object]] = []
    for each in record.result.reported:
        counted = ("", "") if each.n_robust is None else _share(each.n_robust, record.result.n_examples)
        cells.append((each.name, *counted))
        cells += [(f"- {name}", "", f"{value:.4g}") for name, value in each.statistics.items()]
    headers = ("reported, never counted", "robust", "share")
    return table(headers, cells, right=headers[1:])


def rows_table(records: Iterable[Record], *, form: Callable[..., str] = table) -> str:
    """Many rows, one line each.

    Args:
        records: the rows.
        form: makes a table as `table` does.
    """
    headers = ("suite", "dataset", "threat model", "model", "examples", "clean", "robust", "95 % interval")
    cells = [
        (
            record.suite,
            record.dataset,
            record.threat_model,
            record.model,
            record.result.n_examples,
            percent(record.result.n_clean / record.result.n_examples),
            percent(record.n_robust / record.result.n_examples),
            _interval(record),
        )
        for record in records
    ]
    if form is table:
        return table(headers, cells, right=headers[4:], shared=3)
    return form(headers, cells, right=headers[4:])


def percent(fraction: float) -> str:
    """A fraction in percent, to two places.

    >>> percent(0.3125)
    '31.25 %'
    """
    return f"{100 * fraction:.2f} %"


def clock(seconds: float) -> str:
    """A duration as on a clock.

    >>> clock(3725)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _share(count: int, total: int) -> tuple[str, str]:
    return f"{count}/{total}", percent(count / total)


def _cost(record: Record, attack: AttackResult) -> tuple[str, str, str]:
    found = next((cost for cost in record.cost.attacks if cost.name == attack.name), None)
    if found is None:
        return "", "", ""
    return clock(found.seconds), f"{found.forwards:,}", f"{found.backwards:,}"


def _interval(record: Record) -> str:
    low, high = record.robust_interval
    return f"{100 * low:.2f} to {100 * high:.2f}"


def _conclusion(record: Record) -> str:
    result = record.result
    if result.audit is not None:
        return _bounded(record, result.audit)
    number = (
        f"Robust accuracy {percent(record.n_robust / result.n_examples)} ({record.n_robust} of {result.n_examples};"
        f" 95 % interval {_interval(record)} %)"
    )
    return number if record.black_box is None else f"{number}\n{_of_black_box(record.black_box)}"


def _of_black_box(found: BlackBox) -> str:
    """What a number rests on that no gradient was used for."""
    doubt = f"{found.doubt[0].upper()}{found.doubt[1:]}"
    others = " and ".join(plain(name) for name in found.surrogates)
    return f"{doubt}. At most {found.queries:,} queries an example, some for points made on {others}. Not ranked."


def _bounded(record: Record, audit: Audit) -> str:
    """The interval of a cascade, whose row takes no rank, or of an audit, and what it rests on."""
    total, by_key = record.result.n_examples, audit.rate is not None
    lost = record.n_external if by_key else 0
    least, most = max(0, audit.at_least - lost), record.result.n_robust - lost
    unranked = "" if by_key else " Not ranked."
    if audit.n_unaudited:
        audited = "that they audited" if by_key else "drawn at random beside them"
        return (
            f"Robust accuracy {percent(least / total).removesuffix(' %')} to {percent(most / total)}"
            f" ({least} to {most} of {total}; the lower end with {100 * audit.confidence:g} % confidence).{unranked}\n"
            f"The later stages skipped {audit.n_unaudited} survivors and broke {audit.n_breaks or 'none'} of"
            f" {audit.n_audited} {audited}."
        )
    within = f"; 95 % interval {_interval(record)} %" if by_key else ""
    why = f", escalated: {plain(audit.escalated)}" if audit.escalated else ""
    return (
        f"Robust accuracy {percent(most / total)} ({most} of {total}{within}).{unranked}\n"
        f"The later stages tried every survivor{why}."
    )
