"""The package's front door."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).resolve().parent.parent.parent
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import bench.core.digest, bench.core.registry, bench.core.types, bench.storage
import bench.row, bench.row.arrays, bench.leaderboard
assert bench.ThreatModel.parse("Linf:8/255")
assert "evaluate" in dir(bench)
"""


def test_core_and_leaderboard_work_without_torch() -> None:
    """Rows can be read, compared and shown where torch is not installed."""
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", bench.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What `__all__` promises can be had."""
    assert getattr(bench, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        bench.evalute  # noqa: B018


def test_the_version_is_the_distributions() -> None:
    """One version, wherever one looks."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] in (bench.__version__, "attr: bench.__version__")
