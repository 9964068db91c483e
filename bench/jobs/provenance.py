"""Where a row comes from: commit, package versions, date, command."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from bench import __version__
from bench.row import Provenance

__all__ = ["collect_provenance", "commit_of", "provenance_of"]

# An absolute path, which is a word of a command or follows a prefix: --journal=, folder:, onnx:.
_ABSOLUTE = re.compile(r"(?P<prefix>[\w-]+[=:]|)~?/(?!/)(?:.*/)?(?P<last>[^/]+)/*")
_PACKAGES = ("torch", "torchvision", "numpy", "pyautoattack", "foolbox", "safetensors")


def collect_provenance(command: Sequence[str]) -> Provenance:
    """Describe this run.

    Args:
        command: the words of the command line ("bench", "run", ...), or of the call in Python.
    """
    versions = {"bench": __version__, "python": platform.python_version(), **_installed(_PACKAGES)}
    return replace(provenance_of(command), commit=commit_of(Path(__file__).resolve().parent), versions=versions)


def provenance_of(command: Sequence[str]) -> Provenance:
    """The command and the time alone, which are always at hand.

    Of an absolute path the last part is kept: its folders exist on one machine, and may name a person.
    """
    date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = [_without_folder(word) for word in command]
    return Provenance(commit=None, versions={}, date=date, command=shlex.join(words))


def _without_folder(word: str) -> str:
    path = _ABSOLUTE.fullmatch(word)
    return path["prefix"] + path["last"] if path else word


def commit_of(folder: Path) -> str | None:
    """The git commit that `folder` is tracked in, with `-dirty` where its files were changed; None outside git."""
    if not _git(folder, "ls-files"):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git(folder, "status", "--porcelain", ".") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _installed(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
