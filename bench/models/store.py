"""Where the checkpoints that come with bench lie, and which there are."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["available", "model_folder", "root"]


def root() -> Path | None:
    """The folder with one folder per model: inside an installed package, or at the top of a working copy.

    Returns:
        The folder, or None where there is neither.
    """
    package = Path(str(resources.files("bench")))
    candidates = (package / "_checkpoints", package.parent / "checkpoints")
    return next((each for each in candidates if each.is_dir()), None)


def model_folder(model: str) -> Path | None:
    """The folder of the checkpoints of `model`, or None where it has none."""
    folder = root()
    if folder is None or not (folder / model).is_dir():
        return None
    return folder / model


def available(model: str) -> tuple[str, ...]:
    """The datasets for which `model` has a checkpoint, sorted."""
    folder = model_folder(model)
    if folder is None:
        return ()
    return tuple(sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".safetensors").is_file()))
