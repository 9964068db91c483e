"""A model of a package: `package.module:factory`, or the name that a package gives it as an entry point `bench.models`.

The package is installed, or lies in the present folder. As of a file of the user's, modules that are not installed are
run anew each time, and are part of what the model is; of an installed package its version is.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from importlib.metadata import EntryPoint
from pathlib import Path

from bench.core import digest as core_digest
from bench.core.errors import BenchError, UnknownNameError
from bench.models import digest
from bench.models.imports import imported_anew
from bench.models.loaded import LoadedModel
from bench.models.sources import known_forms
from bench.models.sources.source import Source, Wanted
from bench.models.sources.user_file import failure, finished, made_by
from bench.models.sources.user_file import is_user_file as is_file
from bench.models.zoo import ZOO

__all__ = ["ENTRY", "GROUP", "entry_points"]

GROUP = "bench.models"
_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def entry_points() -> dict[str, EntryPoint]:
    """The models that installed packages have, by name."""
    return {each.name: each for each in importlib.metadata.entry_points(group=GROUP)}


def load(wanted: Wanted) -> LoadedModel:
    """Import the module, call the factory, and load the weights into what it returns.

    Raises:
        BenchError: if there is no such module or factory, it fails, it returns no module, or the weights do not fit.
    """
    name = wanted.name
    module_name, _, factory = (name if ":" in name else entry_points()[name].value.replace(" ", "")).partition(":")
    here = Path.cwd() / "package"
    with imported_anew(here) as modules:
        try:
            source = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise failure(error, here, f"Importing {module_name}") from error
            raise BenchError(
                f"No module {error.name!r} for model {name!r}: install its package, or run where it lies."
                f"{known_forms(name)}"
            ) from None
        except (Exception, SystemExit) as error:
            raise failure(error, here, f"Importing {module_name}") from error
        file = Path(source.__file__ or here)
        if not hasattr(source, factory):
            choices = (each for each, value in vars(source).items() if callable(value) and not each.startswith("_"))
            raise UnknownNameError(f"factory in {module_name}", factory, choices)
        module = made_by(getattr(source, factory), file, name)
    identity = core_digest.of_bytes(
        file.read_bytes(), factory.encode(), _version(module_name).encode(), *digest.source_contents(modules)
    )
    return finished(module, wanted, factory_digest=identity)


def _matches(name: str) -> bool:
    if ":" in name:
        return not is_file(name) and _FORM.fullmatch(name) is not None
    return name not in ZOO and name in entry_points()


def _version(module_name: str) -> str:
    """The version of what the module was installed with; "" for one that was not installed."""
    packages = importlib.metadata.packages_distributions().get(module_name.partition(".")[0], [])
    return ", ".join(f"{each} {importlib.metadata.version(each)}" for each in sorted(set(packages)))


ENTRY = Source(
    name="package",
    form="package.module:factory",
    load=load,
    matches=_matches,
)
