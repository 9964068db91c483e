"""A model of the user's: `path/to/file.py:factory`, with its weights in a file or inside the factory.

The file is the user's own code and is run. Its folder is on the import path meanwhile, as for a script, so that it can
import its neighbours. Like the file itself, the user's modules that it imports are run anew each time, as they are now.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from bench.core.errors import BenchError, UnknownNameError
from bench.core.plain_text import reason_of
from bench.models import checkpoint, digest
from bench.models.fitting import fit
from bench.models.imports import Sources, imported_anew
from bench.models.loaded import LoadedModel, freeze
from bench.models.sources.source import Source, Wanted
from bench.storage import expanded

__all__ = ["ENTRY", "failure", "finished", "is_user_file", "made_by", "value_in"]

FORM = "path/to/file.py:factory"


def is_user_file(name: str) -> bool:
    """Whether `name` has the form of a factory in a file."""
    return ".py:" in name or name.endswith(".py")


def load(wanted: Wanted) -> LoadedModel:
    """Call the factory that a name gives, and load the weights into what it returns.

    Args:
        wanted: a model `path/to/file.py:factory`; the factory takes no arguments and returns a module, which has its
            weights where none are given.

    Raises:
        BenchError: if there is no such file or factory, it fails, it returns no module, or the weights do not fit.
    """
    name = wanted.name
    file, _, factory = name.rpartition(":")
    path = expanded(Path(file))
    if not file.endswith(".py") or not factory:
        raise BenchError(
            f"Expected a model as {FORM}, but got {name!r}; add the name of a function that returns the model."
        )
    if not path.is_file():
        raise BenchError(f"No file {path} for model {name!r}.")
    module, modules = _made(path.resolve(), factory, name)
    return finished(module, wanted, factory_digest=digest.factory_digest(path, factory, modules))


def finished(module: nn.Module, wanted: Wanted, *, factory_digest: str) -> LoadedModel:
    """What a factory returned, with the weights that were asked for.

    Raises:
        BenchError: if they do not fit.
    """
    remarks: tuple[str, ...] = ()
    if wanted.weights is not None:
        states = checkpoint.load_states(wanted.weights, key=wanted.weights_key)
        remarks = fit(module, states, name=repr(wanted.name), path=wanted.weights)
    freeze(module, wanted.device)
    return LoadedModel(
        name=wanted.name,
        module=module,
        digest=digest.state_digest(module.state_dict()),
        factory_digest=factory_digest,
        num_classes=wanted.num_classes,
        remarks=remarks,
    )


def made_by(found: Any, path: Path, name: str) -> nn.Module:
    """The module that a factory returns, or that stands in its place.

    Args:
        found: the factory, or a module.
        path: of the file that it is in, for messages.
        name: of the model, for messages.

    Raises:
        BenchError: if it takes arguments, fails, or returns something else.
    """
    made = found if isinstance(found, nn.Module) else _called(found, path, name)
    if not isinstance(made, nn.Module):
        raise BenchError(f"Expected {name} to return a torch.nn.Module, but got a {type(made).__name__}.")
    return made


def _made(path: Path, factory: str, name: str) -> tuple[nn.Module, Sources]:
    """What the factory returns, and the user's modules behind it."""
    with imported_anew(path) as modules:
        found = value_in(path, factory, kind="factory")
        made = made_by(found, path, name)
    return made, modules


def value_in(path: Path, name: str, *, kind: str) -> Any:
    """Run a file of the user's and take what stands in it under a name.

    Args:
        path: of the file, resolved.
        name: of what it holds.
        kind: what that is, in the singular, for messages.

    Raises:
        BenchError: if it fails.
        UnknownNameError: if it has nothing of that name.
    """
    source = _executed(path)
    found = getattr(source, name, None)
    if found is None:
        choices = (
            each
            for each, value in vars(source).items()
            if not each.startswith("_") and callable(value) is (kind == "factory") and not inspect.ismodule(value)
        )
        raise UnknownNameError(f"{kind} in {path.name}", name, choices)
    return found


def _executed(path: Path) -> ModuleType:
    """Import the file under a name of its own, so that two files never share one."""
    unique = f"bench_user_{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"Cannot import {path} as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[unique]
        raise failure(error, path, f"Importing {path}") from error
    return module


def _called(factory: Callable[[], Any], path: Path, name: str) -> Any:
    if not callable(factory):
        raise BenchError(
            f"Expected {name} to be a function that returns the model, but it is a {type(factory).__name__}."
        )
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # builtins have none
        parameters = {}.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each.name for each in parameters if each.default is each.empty and each.kind not in kinds]
    if needed:
        raise BenchError(
            f"Expected {name} to take no arguments, but it needs {', '.join(needed)}; write a function around it."
        )
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise failure(error, path, f"Calling {name}") from error


def failure(error: BaseException, path: Path, doing: str) -> BenchError:
    """Turn whatever the user's code raised into one line that says where in the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if isinstance(error, SyntaxError) and error.lineno is not None:
        lines.append(error.lineno)
    where = f" (line {lines[-1]})" if lines else ""
    return BenchError(f"{doing} failed{where}: {reason_of(error)}")


ENTRY = Source(name="file", form=FORM, load=load, matches=is_user_file)
