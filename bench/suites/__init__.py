"""Attack suites: frozen, versioned lists of attacks, one file each."""

from __future__ import annotations

from typing import get_args

from bench.core.errors import BenchError, UnknownNameError
from bench.core.registry import Registry
from bench.core.types import Engine
from bench.models import is_user_file
from bench.row import OWN_SUITE
from bench.suites import blackbox_v1, own
from bench.suites.suite import VERDICT_PASSES, AttackSuite, with_engine

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "SUITES",
    "VERDICT_PASSES",
    "AttackSuite",
    "for_stochastic",
    "get",
    "names",
    "with_engine",
]

ENGINES: tuple[str, ...] = get_args(Engine)
DEFAULT_ENGINE = "fast"

SUITES: Registry[AttackSuite] = Registry("suite", "bench.suites", key="label")


def get(name: str, *, engine: str = DEFAULT_ENGINE, queries: int | None = None) -> AttackSuite:
    """The suite called `name`, such as `standard-v1`; without a version, the newest.

    Args:
        name: of a suite, or `path/to/file.py:ENTRY` for one of the user's own.
        engine: what runs attacks that have a choice.
        queries: budget of an example, for a suite that has one; None for the suite's own.

    Raises:
        UnknownNameError: if there is no such suite or engine.
        BenchError: if the user's file does not hold a suite, or the suite has no such budget.
    """
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if is_user_file(name):
        return with_engine(own.load(name), engine)
    if name.startswith(OWN_SUITE):
        raise BenchError(f"Suite {name!r:.60} is somebody's own, which bench does not have: --suite FILE.py:ENTRY.")
    found = _newest(name)
    return with_engine(found if queries is None else _within(found, queries), engine)


def names() -> tuple[str, ...]:
    """All suites with their versions, sorted."""
    return SUITES.names()


def for_stochastic(label: str) -> bool:
    """Whether the suite of that name and version is for stochastic models; of one of somebody's own nobody knows."""
    return label in names() and get(label).stochastic


def _within(suite: AttackSuite, queries: int) -> AttackSuite:
    if suite != blackbox_v1.ENTRY:
        raise BenchError(
            f"Suite {suite.label} has no budget of queries: leave --queries out, or take --suite blackbox-v1."
        )
    return blackbox_v1.within(queries)


def _newest(name: str) -> AttackSuite:
    found = [suite for suite in SUITES if name in (suite.label, suite.name)]
    found += [each for each in (blackbox_v1.named(name),) if each is not None]
    if not found:
        raise UnknownNameError("suite", name, names())
    return max(found, key=lambda suite: suite.version)
