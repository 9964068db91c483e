"""What a benchmark measures: the options that all of them share, and the model, examples and threat model they name."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from bench import data, models
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.jobs.request import pick_device

__all__ = ["CLOCKS", "errors_in_one_line", "load_subject", "parser_of", "positive"]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Around a script's `main`: a name that is not there ends it with one line, as with `bench` itself."""
    try:
        yield
    except BenchError as error:
        raise SystemExit(f"Error: {error}") from error


def parser_of(description: str) -> argparse.ArgumentParser:
    """A command line with the shared options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True, help="a name of `bench list models`, or FILE.py:FACTORY")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threat-model", help="such as Linf:8/255; default: the dataset's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="cpu: of this process, all threads")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def positive(text: str) -> int:
    """A whole number of at least 1, for an option's `type`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, but got {text!r}")
    return int(text)


def load_subject(options: argparse.Namespace, n_examples: int) -> tuple[nn.Module, Examples, ThreatModel]:
    """The model in eval mode and frozen, the first examples, and the threat model; sets the number of threads.

    Raises:
        BenchError: if something that the options name is not there.
    """
    torch.set_num_threads(options.threads or torch.get_num_threads())
    dataset = data.load(options.dataset, data_dir=options.data_dir)
    device = pick_device(options.device)
    loaded = models.load(options.model, weights=options.weights, dataset=dataset, device=device)
    threat_model = ThreatModel.parse(options.threat_model) if options.threat_model else dataset.default_threat_model
    examples = dataset.examples[:n_examples].to(device)
    return loaded.module.eval().requires_grad_(False), examples, threat_model
