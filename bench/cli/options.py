"""Options that mean the same in every subcommand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.storage import Place, place

__all__ = [
    "DEFAULT_LEADERBOARD",
    "MODEL_HELP",
    "Address",
    "ClassNames",
    "Crop",
    "DataDir",
    "Dataset",
    "DatasetFilter",
    "Device",
    "Devices",
    "Engine",
    "Executor",
    "Force",
    "Indices",
    "Interpolation",
    "JournalDir",
    "Json",
    "Leaderboard",
    "Model",
    "Name",
    "NoRow",
    "Queries",
    "Quiet",
    "Resize",
    "RowDataset",
    "RowModel",
    "Stochastic",
    "Suite",
    "SuiteFilter",
    "Surrogate",
    "ThreatModel",
    "ThreatModelFilter",
    "Weights",
    "WeightsKey",
    "Workers",
]

DEFAULT_LEADERBOARD: Place = Path("leaderboard")

MODEL_HELP = "timm:, hf:, torchvision: or robustbench:NAME, net.py:factory, onnx:FILE, or a name of `bench list models`"

Model = Annotated[
    str,
    typer.Option(metavar="NAME", help=f"{MODEL_HELP}."),
]
RowModel = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="The model, where the row is of one of your own: as in `bench run`."),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Weights for the model: .safetensors, .pt or .pth, told by content."),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(metavar="A.B", help="Where in the file the weights lie, if it holds several: model_state.net, ema."),
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="What to call the model; by default its own name and a digest.")
]
Dataset = Annotated[
    str, typer.Option(metavar="NAME", help="A dataset of `bench list datasets`, file.npz, or folder:PATH.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where data lies: for CIFAR-10 the folder that holds cifar-10-batches-py/."),
]
ClassNames = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="For data of your own: the model's classes, one name a line in its order; the data may have some of them.",
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="For folder:PATH: resize the shorter side to N, or the image to H x W."),
]
Crop = Annotated[int | None, typer.Option(metavar="N", help="For folder:PATH: cut out the N x N pixels of the centre.")]
Interpolation = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of --resize, as torchvision calls it; by default bilinear.")
]
ThreatModel = Annotated[
    str | None, typer.Option(metavar="NORM:EPSILON", help="Linf:8/255 or L2:0.5; by default the dataset's own.")
]
Suite = Annotated[
    str, typer.Option(metavar="NAME", help="A suite of `bench list suites`, or one of your own, suite.py:ENTRY.")
]
Stochastic = Annotated[
    bool, typer.Option("--stochastic", help="The model draws random numbers in eval mode: --suite rand-v1.")
]
Queries = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of blackbox-v1: most queries of the model for each example; by default 5000."),
]
Surrogate = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Of blackbox-v1: a model to transfer from, once for each; by default bench's."),
]
Indices = Annotated[str | None, typer.Option(metavar="A:B", help="Examples A to B-1 of the official split.")]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; by default a GPU where there is one.")
]
Executor = Annotated[
    str, typer.Option(metavar="local|ray", help="Who computes: processes on this machine, or a Ray cluster.")
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Worker processes; with Ray, most chunks at once. Same result as one.")
]
Devices = Annotated[
    str | None, typer.Option(metavar="A,B", help="A worker process on each of these devices: cuda:0,cuda:1.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT|auto", help="A running Ray cluster; by default Ray is started for the run."),
]
Engine = Annotated[
    str | None,
    typer.Option(metavar="fast|reference", help="What runs AutoAttack; reference is its authors' package."),
]
JournalDir = Annotated[
    Place | None,
    typer.Option(
        parser=place,
        metavar="DIR|URL",
        help="Where finished work is kept for a resume, such as s3://bucket/run; by default in your cache folder.",
    ),
]
Leaderboard = Annotated[
    Place,
    typer.Option(parser=place, metavar="DIR|URL", help="Folder of the rows, or its URL, such as gs://bucket/board."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace an existing row that differs, unless it has more examples.")
]
NoRow = Annotated[bool, typer.Option("--no-row", help="Show the result and leave the leaderboard alone, for a trial.")]
Json = Annotated[bool, typer.Option("--json", help="Only JSON on stdout, all else on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks.")]

RowDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", metavar="NAME", help="Only this dataset; data of your own is named: file.npz or folder:PATH."
    ),
]
DatasetFilter = Annotated[str | None, typer.Option("--dataset", metavar="NAME", help="Only this dataset.")]
SuiteFilter = Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Only this suite.")]
ThreatModelFilter = Annotated[
    str | None, typer.Option("--threat-model", metavar="NORM:EPSILON", help="Only this threat model.")
]
