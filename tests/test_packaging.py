"""What a package index shows of the project, and how an installed one is called."""

from __future__ import annotations

import configparser
import io
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from setuptools import Distribution

import bench

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)]+)\)")


def packaged(monkeypatch: pytest.MonkeyPatch, repository: str) -> dict[str, object]:
    """What setup.py says where the sources are at `repository`."""
    given: dict[str, object] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("BENCH_REPOSITORY_URL", repository)
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path("setup.py")
    return given


def test_the_links_of_the_readme_work_on_a_package_index(monkeypatch):
    """All are absolute, and each that was relative is a file of the repository."""
    given = packaged(monkeypatch, "https://example.org/bench/")
    shown = LINK.findall(given["long_description"])
    ours = [url for url in shown if url.startswith("https://example.org/bench/")]
    assert len(ours) > 10 and all(url.startswith("https://") for url in shown)
    for url in ours:
        kind, _, path = url.removeprefix("https://example.org/bench/").partition("/HEAD/")
        assert kind in ("blob", "raw") and (ROOT / path.partition("#")[0]).exists(), url
    assert given["project_urls"]["Source"] == "https://example.org/bench"


def test_nothing_is_linked_to_a_place_that_nobody_named(monkeypatch):
    """Without BENCH_REPOSITORY_URL the words of a link stay, and no URL is made up."""
    given = packaged(monkeypatch, "")
    assert given["project_urls"] == {}
    assert [url for url in LINK.findall(given["long_description"]) if not url.startswith("https://")] == []
    assert "How it is built" in given["long_description"]


def test_a_wheel_beside_its_weights_is_code_and_one_megabyte(monkeypatch):
    """Rows, evidence, logs of trainings and networks at full width stay in a checkout: a download is small."""
    wheel = Distribution({"script_name": "setup.py", **packaged(monkeypatch, "")})
    wheel.parse_config_files()
    built = wheel.get_command_obj("build_py")
    built.ensure_finalized()
    sources = [Path(path) for path in built.get_output_mapping().values()]
    weights = [path for path in sources if path.suffix == ".safetensors"]
    assert weights and not [path for path in weights if path.parent.name.endswith("-r18")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sources:
            assert path.suffix in {".py", ".typed", ".json", ".html", ".css", ".js", ".txt", ".safetensors"}, path
            if path not in weights:
                archive.write(path)
    assert len(packed.getvalue()) < 1.25 * 2**20


def test_the_version_is_said_once():
    """setup.cfg, the package and CITATION.cff agree."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert config["metadata"]["version"] == bench.__version__ == cited[1]


def test_the_quick_tests_are_there():
    """Files and folders that `tox -e quick` and `tox -e lowest` name."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    parts = config["testenv:quick"]["parts"].split()
    assert len(parts) > 5 and all((ROOT / part).exists() for part in parts)


def called(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        env={**os.environ, "PYTHONPATH": str(Path(bench.__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_m_bench_is_the_command():
    """Where the script is not on the path."""
    assert called("--version") == f"bench {bench.__version__}\n"


def test_a_shell_completes_subcommands():
    """As bash asks for it."""
    words = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench comp", "COMP_CWORD": "1"}
    assert called(**words).split() == ["compare"]
