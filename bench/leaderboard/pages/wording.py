"""How numbers, doubts and sources read on every page."""

from __future__ import annotations

import re
import shlex

from bench.core.plain_text import counted, plain
from bench.leaderboard.pages.share import Share
from bench.leaderboard.pages.tables import Entry, Group
from bench.row import Audit, Record, Result

__all__ = [
    "PROTOCOLS",
    "QUESTIONS",
    "bibtex",
    "bracket",
    "doubts",
    "found_by_doctor",
    "interval",
    "link_of",
    "meaning",
    "millions",
    "percent",
    "reproduce",
    "title_of",
]

PROTOCOLS = {
    "fgsm": "FGSM: one step of epsilon from the clean image",
    "pgd-20": "PGD-20: cross-entropy, one random start, steps of epsilon / 4; papers count the last iterate, we all",
    "pgd-100": "the same with 100 steps of epsilon / 10",
    "cw": "CW of papers on adversarial training: PGD on the margin; not the attack of minimum norm",
    "apgd-ce": "APGD-CE, of half of AutoAttack's steps",
    "autoattack": "AutoAttack, standard version (RobustBench); the PGD of verification benchmarks such as VNN-COMP",
    "cascade": "AutoAttack's, as an interval",
    "constraint-relaxation": "constraint relaxation (Pan and Yao 2025), with nine targets",
    "eot-apgd-ce": "AutoAttack's rand, judged otherwise: 32 fresh passes decide, not the last one",
    "eot-apgd-dlr": "the same",
    "transfer": "PGD and CW on other models, which stand on the row, and on the mean of both",
    "square": "Square, with the rest of the budget of queries",
    "swift": "AutoAttack: constraint relaxation, which AutoAttack audits",
}
"""Beside which published numbers an attack's column stands; `docs/numbers.md` says why."""

QUESTIONS = {
    "R1": "Is it in eval mode, and does it stay as it is?",
    "R2": "Does it answer the same images alike, every time?",
    "R3": "Does the answer to an image depend on that image alone?",
    "R4": "Are the logits finite wherever an attacker may go?",
    "R5": "Are the outputs logits, one for every class?",
    "R6": "Are the logits of a size that the losses can see?",
    "R7": "Is there a gradient to follow?",
    "R8": "Does the gradient predict what happens?",
    "R9": "Does noise break nothing that gradients leave robust?",
    "R10": "Are stronger attacks stronger?",
    "R11": "Do more steps and restarts find nothing new?",
    "R12": "Does a larger epsilon break more, and a very large one everything?",
    "R13": "Do attacks without its gradient find nothing new?",
    "R14": "Is what is attacked what is scored?",
    "R15": "Does every attack return the break that it saw?",
    "R16": "Do the attacks' examples obey the threat model, and break alone too?",
    "R17": "Do the attacks find a planted adversarial example?",
    "R18": "Is it one fixed pass, without an optimisation of its own?",
    "R19": "Is the clean accuracy the claimed one?",
    "R20": "Do other seeds find nothing new?",
    "R21": "Is it as sure of shifted and mirrored copies?",
}
"""What the doctor's checks ask, as its own checks say; pages are made without torch, which those need."""
_MEANINGS = {
    "static-clean": "the network without its router, all weight on the clean branch, under PGD-100",
    "static-adversarial": "the network without its router, all weight on the adversarial branch, under PGD-100",
    "router": "what the router takes images for",
    "naive-pgd-20": "PGD-20 on the merged classes, as if there were no dummy classes",
    "naive-apgd": "APGD on the merged classes, as if there were no dummy classes",
    "naive-apgd-raw": "APGD on the raw classes, where falling into a dummy class counts as broken",
    "dummy-share": "images that fall into a dummy class",
    "one-shot": "a single pass over the worst point of each image, as papers report it",
    "expected-accuracy": "mean share of right passes",
    "clean_accuracy": "clean accuracy",
    "clean_from": "clean accuracy, lower end",
    "clean_to": "clean accuracy, upper end",
    "robust_accuracy": "at the worst points",
    "robust_from": "at the worst points, lower end",
    "robust_to": "at the worst points, upper end",
    "clean_called_clean": "clean images taken for clean",
    "adversarial_called_adversarial": "adversarial images taken for adversarial",
    "flipped_by_attack": "type changed by PGD-20 on the whole network",
    "flipped_by_steering": "type changed by an attack on the router alone",
    "correct_when_steered": "still classified correctly after that attack",
    "with_gradient": "images at which the router has a gradient",
    "clean": "clean",
    "noise": "with noise",
    "adversarial": "adversarial",
}
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


def bracket(certified: Share, attacked: Share) -> str:
    """Between what robust accuracy lies, in percent: what is proved, and what no attack broke.

    >>> bracket(Share(count=1, total=4), Share(count=3, total=4))
    '[25.00, 75.00]'
    """
    return f"[{percent(certified.fraction)}, {percent(attacked.fraction)}]"


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


def meaning(name: str) -> str:
    """What a number that is reported and never counts is, in words; its name where nobody wrote them."""
    return _MEANINGS.get(name, name.replace("_", " "))


def bibtex(group: Group, entry: Entry) -> str:
    """How to cite a row: what was found, by what, on what, and the digest that tells the row from others."""
    record, total = entry.record, entry.robust.total
    name = re.sub(r"[^a-z0-9]+", "-", f"bench-{record.model}-{group.anchor}".lower()).strip("-")
    found = f"{percent(entry.robust.fraction)} \\% of the first {total:,} test images ({interval(entry.robust)})"
    title = f"Robust accuracy of {{{_tex(title_of(record))}}} on {_tex(group.dataset)}, {_tex(group.threat_model)}"
    fields = {
        "title": title,
        "year": record.provenance.date[:4],
        "howpublished": f"bench leaderboard, suite {_tex(group.suite)}",
        "note": f"{found}; weights {record.digests.model[:12]}",
    }
    lines = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"@misc{{{name},\n{lines}\n}}"


def _tex(text: str) -> str:
    """Text that BibTeX takes for text."""
    return re.sub(r"([%&#_$])", r"\\\1", re.sub(r"[{}\\]", "", plain(text)))


def doubts(entry: Entry) -> tuple[str, ...]:
    """What a reader should know before trusting the number, a few words each."""
    result = entry.record.result
    warned = [check.id for check in result.diagnostics if check.status == "warn"]
    external = entry.record.n_external
    return (
        *entry.unranked,
        *(_of_audit(result.audit) if result.audit is not None and result.audit.rate is not None else ()),
        *([f"warnings: {', '.join(warned)}"] if warned else []),
        *([f"{counted(result.n_nonfinite, 'example')} with non-finite logits"] if result.n_nonfinite else []),
        *([f"{external} broken by others"] if external else []),
        *([] if result.diagnostics else ["no diagnostics"]),
    )


def _of_audit(audit: Audit) -> tuple[str, ...]:
    """What an audit by key found, and what follows for the others; nothing where there are none."""
    if audit.escalated:
        return (f"all in full: {audit.escalated}",)
    if not audit.n_unaudited:
        return ()
    return (f"at least {audit.at_least:,} robust: the audit broke {audit.n_breaks} of {audit.n_audited:,}",)


def found_by_doctor(result: Result) -> str:
    """What the diagnostics say together, in a sentence or two."""
    by_status = {
        status: [each.id for each in result.diagnostics if each.status == status] for status in ("fail", "warn")
    }
    silent = [each.id for each in result.diagnostics if not each.ran]
    fine = len(result.diagnostics) - len(silent) - sum(map(len, by_status.values()))
    parts = [f"{fine} of {len(result.diagnostics)} checks find nothing against it"]
    if by_status["warn"]:
        parts.append(f"{', '.join(by_status['warn'])} doubt{'s' if len(by_status['warn']) == 1 else ''} it")
    if silent:
        parts.append(f"{', '.join(silent)} did not run")
    failed = by_status["fail"]
    last = f" {', '.join(failed)} failed: the robust accuracy is an upper bound only." if failed else ""
    return f"{'; '.join(parts)}.{last}"


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
