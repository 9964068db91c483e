"""`cascade-v1` beside pyautoattack's AutoAttack: one process, the same model, examples and device, taking turns.

    python benchmarks/cascade.py --model pgd-at --samples 300 --clock cpu --threads 1

pyautoattack runs its two quick stages, then comes the whole cascade through the harness, verdicts and choice of
precision included, then pyautoattack's two slow stages on what its quick ones left. The interval of the cascade should
hold what pyautoattack finds. Like `autoattack.py` otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from engines import Stage, exercise, measure, predictions, reference_engine, trainable
from subject import CLOCKS, errors_in_one_line, load_subject, parser_of
from tabulate import tabulate

from bench import suites
from bench.attacks.autoattack import ApgdCe, ApgdT, FabT, Square
from bench.evaluation import CountingClassifier, Evaluation, evaluate, full_float32

QUICK: tuple[Stage, ...] = (ApgdCe(), ApgdT())
SLOW: tuple[Stage, ...] = (FabT(), Square())


def main() -> None:
    """Parse the options, measure, print a table or JSON."""
    options = parse()
    report = compare(options)
    if options.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    sys.stdout.write(tabulate(list(report.items()), floatfmt=".2f") + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of("cascade-v1 beside pyautoattack.")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64, help="most examples at once, for both")
    return parser.parse_args()


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and robust examples of both."""
    module, examples, threat_model = load_subject(options, options.samples)
    options.warm_up, options.steps, options.queries = 3, ApgdT().steps, Square().queries
    with full_float32():
        exercise(module, examples, options)
        correct = predictions(module, examples.inputs) == examples.labels
        theirs = reference_engine(CountingClassifier(module), threat_model, correct)
        with trainable(module, wanted=True):
            for stage in QUICK:
                measure(theirs, stage, module, examples, threat_model, options)
    start = CLOCKS[options.clock]()
    found = evaluate(
        module,
        examples,
        threat_model=threat_model,
        suite=suites.get("cascade-v1"),
        device=options.device,
        batch_size=options.batch_size,
    )
    seconds = CLOCKS[options.clock]() - start
    with full_float32(), trainable(module, wanted=True):
        for stage in SLOW:
            measure(theirs, stage, module, examples, threat_model, options)
    return {
        "model": options.model,
        "examples": len(examples),
        "clean": int(correct.sum()),
        **{f"pyautoattack {name}, seconds": spent for name, spent in theirs.seconds.items()},
        "pyautoattack, seconds": sum(theirs.seconds.values()),
        "cascade, seconds": seconds,
        "times fewer": sum(theirs.seconds.values()) / seconds,
        "pyautoattack, robust": int(theirs.robust.sum()),
        **interval(found),
    }


def interval(found: Evaluation) -> dict[str, Any]:
    """What the cascade says."""
    audit = found.audit
    return {
        "cascade, robust at most": found.n_robust,
        "cascade, robust at least (95 %)": max(0, found.n_robust - audit.most_missed) if audit else found.n_robust,
        "cascade, audited": audit.n_audited if audit else 0,
        "cascade, not audited": audit.n_unaudited if audit else 0,
        "cascade, went on with all because": (audit.escalated if audit else "") or "-",
    }


if __name__ == "__main__":
    with errors_in_one_line():
        main()
