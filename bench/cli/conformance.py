"""`bench conformance`: does the harness say what is known to be true?"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.layout import table
from bench.cli.options import DataDir, Device, Json, Quiet
from bench.cli.output import json_text, say
from bench.cli.tables import clock
from bench.core.errors import BenchError, FoundSomethingError

if TYPE_CHECKING:
    from bench.jobs.conformance import Case, Held

__all__ = ["conformance"]


def conformance(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="A model of the set, or a kind; again for more.")
    ] = None,
    suite: Annotated[
        str, typer.Option(metavar="NAME", help="Whose numbers are looked at; longer ones take hours.")
    ] = "quick-v1",
    samples: Annotated[int, typer.Option(metavar="N", help="Examples of each model.")] = 64,
    known_answers: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Weights of others, with what they published: resnet4b/resnet4b.pth."),
    ] = None,
    data_dir: DataDir = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Ask AutoAttack's authors' package too: a second column.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all random draws.")] = 0,
    device: Device = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table for a page.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold a suite and the short doctor to models of which the truth is known.

    Closed forms, traps with the attack that knows each, honest models; docs/conformance.md lists them. Exit code 1
    where a number is wrong and nothing doubts it, or an honest model fails a check.

    \b
    Examples:
      bench conformance
      bench conformance --only "closed form" --only honest
      bench conformance --known-answers known_answers --only published
      bench conformance --only "batch size" --reference --markdown
    """
    from bench.cli.progress import ConformanceDisplay
    from bench.jobs.conformance import Request
    from bench.jobs.conformance import conformance as job

    if markdown and as_json:
        raise BenchError("--markdown and --json are two forms of one table; leave one out.")
    request = Request(
        suite=suite,
        only=tuple(only or ()),
        samples=samples,
        known_answers=known_answers,
        data_dir=data_dir,
        reference=reference,
        seed=seed,
        device=device,
    )
    with contextlib.redirect_stdout(sys.stderr), ConformanceDisplay(quiet=quiet) as display:
        cases = job(request, on_progress=display.update)
    say(json_text([_values(case) for case in cases]) if as_json else _text(cases, suite, markdown=markdown))
    lies = [case.name for case in cases if case.suite.lied]
    alarms = [case.name for case in cases if case.false_alarm]
    if lies:
        raise FoundSomethingError(f"{suite} misleads about {len(lies)} of {len(cases)} models: {', '.join(lies)}.")
    if alarms:
        raise FoundSomethingError(f"A check fails {len(alarms)} honest models: {', '.join(alarms)}.")


def _values(case: Case) -> dict[str, Any]:
    from bench.row import to_json

    held = {"suite": case.suite, "reference": case.reference}
    return {
        "name": case.name,
        "kind": case.kind,
        "threat_model": case.threat_model,
        "n_examples": case.n_examples,
        "truth": case.truth._asdict(),
        **{
            who: {**to_json(each.said), "verdict": each.verdict, "lied": each.lied} if each is not None else None
            for who, each in held.items()
        },
        "false_alarm": case.false_alarm,
        "seconds": round(case.seconds, 1),
    }


def _text(cases: Sequence[Case], suite: str, *, markdown: bool) -> str:
    from bench.cli.formats import markdown_table

    asked = any(case.reference is not None for case in cases)
    headers = ["kind", "model", "examples", "clean", "true", f"{suite} robust", "true robust", "", "doubts"]
    right = headers[2:7]
    if asked:
        headers += ["AutoAttack robust", "  ", "its flags"]
    cells = [
        (
            case.kind,
            case.name,
            case.n_examples,
            _count(case.suite.said.clean),
            case.truth.clean,
            _count(case.suite.said.robust),
            _most(case),
            _verdict(case.suite),
            ", ".join(case.suite.said.doubts),
            *(_reference(case.reference) if asked else ()),
        )
        for case in cases
    ]
    form: Callable[..., str] = markdown_table if markdown else table
    shown = form(headers, cells, right=right)
    return "\n\n".join([shown, *(() if markdown else _refusals(cases)), _conclusion(cases)])


def _reference(held: Held | None) -> tuple[str, str, str]:
    return (_count(held.said.robust), _verdict(held), ", ".join(held.said.doubts)) if held is not None else ("", "", "")


def _count(count: int | None) -> str:
    return "" if count is None else str(count)


def _most(case: Case) -> str:
    truth = case.truth
    if truth.least == truth.most:
        return str(truth.most)
    return f"{truth.least} to {truth.most}" if truth.least else f"at most {truth.most}"


def _verdict(held: Held) -> str:
    return f"{held.verdict}, and no doubt" if held.lied else held.verdict


def _refusals(cases: Sequence[Case]) -> list[str]:
    return [f"{case.name} is refused: {case.suite.said.refused}" for case in cases if case.suite.said.refused]


def _conclusion(cases: Sequence[Case]) -> str:
    off = [case for case in cases if case.suite.verdict in ("too high", "wrong")]
    alarms = sum(case.false_alarm for case in cases)
    text = (
        f"Of {len(cases)} models the number of {len(off)} is too high or wrong, {sum(case.suite.lied for case in off)}"
        f" of them without a doubt; {alarms} honest ones fail a check ({clock(sum(case.seconds for case in cases))})."
    )
    asked = [case.reference for case in cases if case.reference is not None]
    if asked:
        wrong = sum(each.verdict in ("too high", "wrong") for each in asked)
        silent = sum(each.lied for each in asked)
        text += f" AutoAttack's package: {wrong} too high or wrong, {silent} without a flag."
    return text
