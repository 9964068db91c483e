"""How numbers, doubts and sources read on every page."""

from __future__ import annotations

import re
import shlex

from bench.leaderboard.pages.share import Share
from bench.leaderboard.pages.tables import Entry
from bench.row import Audit, Record

__all__ = ["PROTOCOLS", "doubts", "interval", "link_of", "millions", "percent", "reproduce", "title_of"]

PROTOCOLS = {
    "fgsm": "FGSM: one step of epsilon from the clean image",
    "pgd-20": "PGD-20: cross-entropy, one random start, steps of epsilon / 4; papers count the last iterate, we all",
    "pgd-100": "the same with 100 steps of epsilon / 10",
    "cw": "CW of papers on adversarial training: PGD on the margin; not the attack of minimum norm",
    "apgd-ce": "APGD-CE, of half of AutoAttack's steps",
    "autoattack": "AutoAttack, standard version (RobustBench); the PGD of verification benchmarks such as VNN-COMP",
    "cascade": "AutoAttack's, as an interval",
}
"""Beside which published numbers an attack's column stands; `docs/numbers.md` says why."""

_ARXIV = re.compile(r"\barXiv:? ?(\d{4}\.\d{4,5})\b", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"'`|]+")
# Options that say where or how on one machine, not what; True where a value follows.
_LOCAL_OPTIONS = {
    "--data-dir": True,
    "--journal": True,
    "--leaderboard": True,
    "--device": True,
    "--batch-size": True,
    "--force": False,
    "--quiet": False,
    "--json": False,
}


def percent(fraction: float) -> str:
    """A fraction in percent, to two places, without the sign.

    >>> percent(0.296875)
    '29.69'
    """
    return f"{100 * fraction:.2f}"


def interval(share: Share) -> str:
    """The 95 % interval in percent."""
    low, high = share.interval
    return f"{100 * low:.2f} to {100 * high:.2f}"


def millions(count: int) -> str:
    r"""A number of parameters.

    >>> millions(11_173_962), millions(650)
    ('11.17\xa0M', '650')
    """
    return f"{count / 1e6:.2f}\N{NO-BREAK SPACE}M" if count >= 10_000 else f"{count:,}"


def title_of(record: Record) -> str:
    """What people call the model."""
    return record.card.title if record.card is not None and record.card.title else record.model


def link_of(reference: str) -> str | None:
    """The address that a reference names: its own, or arXiv's; None where it names none.

    >>> link_of("Wei, Zhao, Li 2024, arXiv 2306.03430")
    'https://arxiv.org/abs/2306.03430'
    """
    address = _ADDRESS.search(reference)
    if address is not None:
        return address[0]
    number = _ARXIV.search(reference)
    return f"https://arxiv.org/abs/{number[1]}" if number is not None else None


def doubts(entry: Entry) -> tuple[str, ...]:
    """What a reader should know before trusting the number, a few words each."""
    result = entry.record.result
    warned = [check.id for check in result.diagnostics if check.status == "warn"]
    external = entry.record.n_external
    return (
        *entry.unranked,
        *([_of_audit(result.audit)] if result.audit is not None and result.audit.rate is not None else []),
        *([f"warnings: {', '.join(warned)}"] if warned else []),
        *([f"{result.n_nonfinite} examples with non-finite logits"] if result.n_nonfinite else []),
        *([f"{external} broken by others"] if external else []),
        *([] if result.diagnostics else ["no diagnostics"]),
    )


def _of_audit(audit: Audit) -> str:
    """What an audit by key found, and what follows for the others."""
    if audit.escalated:
        return f"all in full: {audit.escalated}"
    return f"at least {audit.at_least:,} robust: the audit broke {audit.n_breaks} of {audit.n_audited:,}"


def reproduce(record: Record) -> str:
    """The command that makes the row again, without what concerned one machine alone."""
    try:
        words = shlex.split(record.provenance.command)
    except ValueError:
        return record.provenance.command
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.partition("=")
        if skip:
            skip = False
        elif name in _LOCAL_OPTIONS:
            skip = _LOCAL_OPTIONS[name] and not equals
        else:
            kept.append(word)
    return shlex.join(kept)
