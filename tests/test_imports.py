"""How modules depend on each other, imports inside functions included, and what their classes are called."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bench

ROOT = Path(bench.__file__).parent
# What a snapshot of a training holds in its plan: the objective is called as the structure that it trains.
FROZEN = {"DummyClasses"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path, modules: set[str]) -> set[str]:
    """The package's modules that a file imports, wherever the statement stands, but for annotations alone."""
    found = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {str(node.module)}
    return found & modules


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below this one but those under `if TYPE_CHECKING`, which never run."""
    for each in ast.iter_child_nodes(node):
        yield each
        if not (isinstance(each, ast.If) and isinstance(each.test, ast.Name) and each.test.id == "TYPE_CHECKING"):
            yield from statements(each)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Each module can be read after those that it imports; none hides an import in a function to escape."""
    files = {module_of(path): path for path in ROOT.rglob("*.py")}
    graph = {name: imported_by(path, set(files)) - {name} for name, path in files.items()}
    assert sum(map(len, graph.values())) > len(graph)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_two_classes_share_a_name() -> None:
    """A name means one thing in the whole package, but for what a file keeps to itself."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py"))
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1 and not name.startswith("_")} == FROZEN
