"""Options that mean the same in every subcommand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DEFAULT_LEADERBOARD", "DataDir", "Json", "Leaderboard", "Quiet", "ThreatModelFilter"]

DEFAULT_LEADERBOARD = Path("leaderboard")

DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where data lies: for CIFAR-10 the folder that holds cifar-10-batches-py/."),
]
Json = Annotated[bool, typer.Option("--json", help="Only JSON on stdout, all else on stderr.")]
Leaderboard = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the rows.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks.")]
ThreatModelFilter = Annotated[str | None, typer.Option(metavar="NORM:EPSILON", help="Only this threat model.")]
