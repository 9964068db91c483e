"""Which of the user's modules a file imports, and that they are run as they are now."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.models.imports import imported_anew, imported_by


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Modules and import path are as before, whatever a test leaves."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    """Files by their module's name, in which `_in_` stands for a folder and `init` for `__init__`; return `net.py`."""
    for name, text in files.items():
        *outer, last = name.split("_in_")
        path = folder.joinpath(*outer, f"{'__init__' if last == 'init' else last}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "net.py"


def run(path: Path) -> set[str]:
    """Run a file as a factory's is, and name what it imports."""
    with imported_anew(path.resolve()) as modules:
        exec(compile(path.read_text(), path, "exec"), {"__name__": "bench_user_net"})
    assert all(source.is_file() for source in modules.values())
    return set(modules)


@pytest.mark.parametrize(
    ("net", "names"),
    [
        ("import bx_a", {"bx_a", "bx_b"}),
        ("from bx_a import X", {"bx_a", "bx_b"}),
        ("import bx_p.inner as inner", {"bx_p.inner"}),
        ("from bx_p import inner", {"bx_p.inner"}),
        ("from bx_p.inner import X", {"bx_p.inner"}),
        ("import bx_q.deep.er", {"bx_q", "bx_q.side", "bx_q.deep", "bx_q.deep.er", "bx_b"}),
        ("def make():\n    import bx_b", {"bx_b"}),
        ("class Net:\n    def forward(self):\n        from bx_q import side", {"bx_q", "bx_q.side"}),
        ("if False:\n    import bx_b", {"bx_b"}),
        ("import importlib\nimportlib.import_module('bx_' + 'b')", {"bx_b"}),
        ("import importlib\nimportlib.import_module('bx_p.' + 'inner')", {"bx_p.inner"}),
        ("def late():\n    from bx_n.n.deep import X", {"bx_n.n.deep"}),
        ("import sys\nsys.path.insert(0, {there!r})\nimport bx_c", {"bx_c"}),
        ("import sys\nsys.path.insert(0, {there!r})\n__import__('bx_' + 'c')", {"bx_c"}),
        ("import os, json, torch, numpy, bench.core.digest, bx_no_such_if_ever\n" * 0, set()),
        ("import os, json, torch, numpy\nfrom bench.core import digest\nfrom torch.nn import functional", set()),
        ("try:\n    import bx_no_such\nexcept ImportError:\n    pass", set()),
    ],
)
def test_whatever_way_it_is_imported(tmp_path: Path, net: str, names: set[str]) -> None:
    """At the top, in functions, from packages with and without __init__, by a computed name; through others too.

    And the same again where everything is loaded already.
    """
    there = tmp_path / "there"
    path = write(
        tmp_path / "here",
        net=net.replace("{there!r}", repr(str(there))),
        bx_a="from bx_b import X",
        bx_b="import math\nX = math.pi",
        bx_p_in_inner="X = 1",
        bx_q_in_init="from . import side",
        bx_q_in_side="",
        bx_q_in_deep_in_init="",
        bx_q_in_deep_in_er="from ..side import *\nfrom bx_b import X",
        bx_n_in_n_in_deep="X = 1",
        unused="",
    )
    write(there, bx_c="")
    assert run(path) == names
    assert run(path) == names


def test_a_changed_module_is_run_as_it_is_now(tmp_path: Path) -> None:
    """Also within the second of its last run, in packages of both kinds, and where a script imported it before."""
    path = write(tmp_path, net="from bx_f import value\nfrom bx_g import other\nfound = value.X, other.X")
    write(tmp_path, bx_f_in_value="X = 1", bx_g_in_init="", bx_g_in_other="X = 1")
    sys.path.append(str(tmp_path))
    importlib.invalidate_caches()
    script = importlib.import_module("bx_f.value")
    for number in (1, 2, 3):
        write(tmp_path, bx_f_in_value=f"X = {number}", bx_g_in_other=f"X = {number}")
        found: dict[str, object] = {}
        with imported_anew(path.resolve()):
            exec(path.read_text(), found)
        assert found["found"] == (number, number)
    assert script.X == 1 and not list(tmp_path.rglob("*.pyc"))


def test_neighbours_of_one_name_are_not_confused(tmp_path: Path) -> None:
    """Each file gets its own, a package or a module."""
    first = write(tmp_path / "one", net="from bx_same import X\nassert X == 1", bx_same="X = 1")
    second = write(tmp_path / "two", net="from bx_same.part import X\nassert X == 2", bx_same_in_part="X = 2")
    for _ in range(2):
        assert run(first) == {"bx_same"}
        assert run(second) == {"bx_same.part"}
    assert str(tmp_path / "one") not in sys.path


def test_modules_that_the_file_does_not_import_are_left_alone(tmp_path: Path) -> None:
    """A script's own modules stay loaded, the very same ones, though they lie beside the file."""
    path = write(tmp_path, net="import bx_b", bx_b="", bx_script="", bx_pack_in_init="", bx_pack_in_part="")
    sys.path.append(str(tmp_path))
    importlib.invalidate_caches()
    kept = {name: importlib.import_module(name) for name in ("bx_script", "bx_pack", "bx_pack.part")}
    bench = sys.modules["bench.models.imports"]
    run(path)
    assert {name: sys.modules[name] for name in kept} == kept
    assert kept["bx_pack"].part is kept["bx_pack.part"] and sys.modules["bench.models.imports"] is bench


def test_a_file_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Import path, modules and the writing of bytecode."""
    path = write(tmp_path, net="import bx_b\nraise ValueError", bx_b="")
    before = list(sys.path), sys.dont_write_bytecode
    with pytest.raises(ValueError):
        run(path)
    assert (list(sys.path), sys.dont_write_bytecode) == before


def test_files_that_cannot_be_read_import_nothing(tmp_path: Path) -> None:
    """Whoever runs them is told; a module in a circle is found once."""
    path = write(tmp_path, net="import bx_a", bx_a="import net, bx_bad", bx_bad="def (")
    sys.path.append(str(tmp_path))
    assert set(imported_by([("net", path)])) == {"bx_a", "bx_bad", "net"}
    assert imported_by([("net", tmp_path / "absent.py")]) == {}
