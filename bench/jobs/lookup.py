"""Where the things that a row names are found, as far as its names do not say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Lookup"]


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What a user says of a row's model and data.

    Args:
        model: the model, where the row's own name does not lead to it: `path/to/file.py:factory`.
        weights: its weights file, or None.
        weights_key: where in that file, a dotted path; None for anywhere.
        dataset: the data, where it is the user's own: `file.npz` or `folder:PATH`.
        data_dir: where data is looked up first, or None.
        class_names: a file with the model's classes, where the row's run had one, or None.
        device: torch device; None for a GPU where there is one.
    """

    model: str | None = None
    weights: Path | None = None
    weights_key: str | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    class_names: Path | None = None
    device: str | None = None

    @property
    def own_model(self) -> bool:
        """Whether the user names what is asked, so that another checkpoint than the row's is meant to be another."""
        return self.model is not None or self.weights is not None
