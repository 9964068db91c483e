"""What a source of models is: names of one form, and how they become models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.core.types import ThreatModel
from bench.data import Preprocessing
from bench.models.loaded import LoadedModel

__all__ = ["Source", "Wanted"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model that is asked for.

    Args:
        name: as it was asked for.
        dataset: what it will be evaluated on; of a part of a dataset, the whole.
        num_classes: classes of the dataset.
        threat_model: what the attacker may do.
        device: where the module goes.
        weights: a weights file for the model, or None.
        weights_key: where in that file; None for anywhere.
        empty: build it without weights: its tensors follow, and no file of weights is looked for.
    """

    name: str
    dataset: str
    num_classes: int
    threat_model: ThreatModel
    device: str | torch.device = "cpu"
    weights: Path | None = None
    weights_key: str | None = None
    empty: bool = False


@dataclass(frozen=True, kw_only=True)
class Source:
    """Models of one kind of name; a file of `bench.models.sources` holds one as `ENTRY`.

    Args:
        name: of the source, and the prefix of its names unless `matches` says otherwise.
        form: of its names, for messages: "timm:NAME".
        load: loads a model, in eval mode and with frozen parameters.
        matches: whether a name is of this source; None where its prefix says so.
        preprocessing: how image files become the pixels that a model is made for, given its name, the dataset and the
            threat model (None for the dataset's); None where that is the dataset's matter.
        threat_model: what a model is evaluated under unless another threat model is asked for, given its name and the
            dataset; None for the dataset's default.
        listing: its models for a dataset, or for all, each as columns of a table; None where nobody can list them.
    """

    name: str
    form: str
    load: Callable[[Wanted], LoadedModel]
    matches: Callable[[str], bool] | None = None
    preprocessing: Callable[[str, str, ThreatModel | None], Preprocessing | None] | None = None
    threat_model: Callable[[str, str], ThreatModel | None] | None = None
    listing: Callable[[str | None], Sequence[Mapping[str, str]]] | None = None

    def takes(self, name: str) -> bool:
        """Whether `name` is of this source."""
        return name.startswith(f"{self.name}:") if self.matches is None else self.matches(name)
