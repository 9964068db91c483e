"""Rows made to order, and a browser to see their board with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from bench.row.indices import format_indices
from bench.row.packing import pack_margins, pack_verdicts
from bench.row.record import AttackCost, AttackResult, Cost, Digests, Provenance, Record, Result

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox: it needs privileges that containers do not give; the only page that is opened is our own.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


def _missing(what: str) -> None:
    """Skip, or fail where the environment promises a browser."""
    if os.environ.get("BENCH_REQUIRE_BROWSER") == "1":
        pytest.fail(f"BENCH_REQUIRE_BROWSER=1, but {what}")
    pytest.skip(what)


def make_record(
    robust: Sequence[bool], *, margins: Sequence[float] | None = None, start: int = 0, **change: Any
) -> Record:
    """A row of one attack; every example is correct when clean. `change` replaces fields of the row."""
    attack = AttackResult(
        name="pgd-20",
        n_robust=sum(robust),
        robust=pack_verdicts(robust),
        best_margin=pack_margins(margins or [1.0 if verdict else -1.0 for verdict in robust]),
        parameters=change.pop("parameters", {"steps": 20, "relative_step_size": {"linf": "1/4"}}),
    )
    result = Result(
        n_examples=len(robust),
        indices=format_indices(range(start, start + len(robust))),
        n_clean=len(robust),
        n_robust=sum(robust),
        seed=change.pop("seed", 0),
        clean=pack_verdicts([True] * len(robust)),
        attacks=(attack,),
        n_nonfinite=0,
        diagnostics=(),
    )
    usual = {
        "model": "pgd-at",
        "dataset": "cifar10",
        "threat_model": "Linf:8/255",
        "suite": "standard-v1",
        "digests": Digests(suite="s" * 64, dataset="d" * 64, model="m" * 64, factory="f" * 64),
        "result": result,
        "cost": Cost(
            engine="fast",
            precision="float32",
            device="cpu",
            batch_size=64,
            attacks=(AttackCost(name="pgd-20", seconds=1.0, forwards=21, backwards=20),),
        ),
        "provenance": Provenance(commit=None, versions={}, date="2026-01-01T00:00:00Z", command="bench run"),
    }
    return Record(**{**usual, **change})


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The driver of a headless Chromium with a fresh profile."""
    program = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        _missing("there is no Chromium with its chromedriver on this machine")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _missing("selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = str(program)
    for option in (*_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(str(driver)))
    yield found
    found.quit()
