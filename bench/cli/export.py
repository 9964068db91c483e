"""`bench export`: a row's adversarial examples, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    DEFAULT_LEADERBOARD,
    ClassNames,
    DataDir,
    Leaderboard,
    RowDataset,
    SuiteFilter,
    ThreatModelFilter,
)
from bench.cli.output import say
from bench.cli.rows import Filter, locate, own_data

__all__ = ["export"]


def export(
    row: Annotated[str, typer.Argument(metavar="ROW", help="The path of a row, or a model's name.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Where to write them.")],
    dataset: RowDataset = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    data_dir: DataDir = None,
    class_names: ClassNames = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the adversarial examples that a row ships as arrays: float32 and 8 bit, labels, indices.

    docs/evidence.md says what each array is. No attack is run and no model is asked.

    \b
    Examples:
      bench export pgd-at adversarial.npz --dataset cifar10
      bench export net-make-1a2b3c4d adversarial.npz --dataset folder:images
    """
    from bench.jobs.export import export as job
    from bench.jobs.lookup import Lookup

    own = own_data(dataset)
    wanted = Filter(dataset=None if own else dataset, threat_model=threat_model, suite=suite)
    lookup = Lookup(dataset=dataset if own else None, data_dir=data_dir, class_names=class_names)
    count = job(locate(row, wanted, leaderboard), file, lookup, force=force)
    say(f"{count} adversarial examples: {file}")
