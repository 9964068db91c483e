"""What a command prints: its result on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from typing import Any, TextIO

import typer

from bench.cli.layout import wrapped
from bench.core.errors import WorkFailedError
from bench.row import to_json

__all__ = ["give_up", "json_text", "remark", "say"]


def say(text: str) -> None:
    """Print a result on stdout; what its encoding lacks, as escapes.

    Raises:
        WorkFailedError: if stdout takes no more: its disk is full, or nobody reads it any longer.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        typer.echo(text.encode(encoding, "backslashreplace").decode(encoding))
    except OSError as error:
        give_up(sys.stdout)
        raise WorkFailedError(
            f"Cannot print the result: {error.strerror or error}. What is stored is kept; the same command prints it."
        ) from error


def remark(text: str) -> None:
    """Print a line on stderr; where nobody can read it, it is not worth an error."""
    try:
        typer.echo(wrapped(text, sys.stderr), err=True)
    except OSError:
        give_up(sys.stderr)


def json_text(value: Any, *, indent: int | None = 1) -> str:
    """JSON for stdout, of plain values or dataclasses; what JSON has no number for, as an infinite margin, is null."""
    return json.dumps(_in_json(to_json(value)), indent=indent, allow_nan=False)


def _in_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_json(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def give_up(stream: TextIO) -> None:
    """What is still to be written there goes nowhere, so that Python's own last attempt does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
