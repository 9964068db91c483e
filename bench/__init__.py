"""Adversarial robustness of image classifiers, measured so that the number can be believed.

>>> from bench import ThreatModel
>>> str(ThreatModel.parse("linf:2/255"))
'Linf:2/255'

What needs torch is imported when it is first used, so that reading rows needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.core.types import Examples, ThreatModel
    from bench.data import load as load_dataset
    from bench.evaluation import evaluate
    from bench.leaderboard.pages import rows
    from bench.models import load as load_model

__all__ = ["Examples", "ThreatModel", "__version__", "evaluate", "load_dataset", "load_model", "rows"]

__version__ = "0.1.0"

_LAZY = {
    "Examples": ("bench.core.types", "Examples"),
    "ThreatModel": ("bench.core.types", "ThreatModel"),
    "evaluate": ("bench.evaluation", "evaluate"),
    "load_dataset": ("bench.data", "load"),
    "load_model": ("bench.models", "load"),
    "rows": ("bench.leaderboard.pages", "rows"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
