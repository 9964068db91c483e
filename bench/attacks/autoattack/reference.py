"""AutoAttack's stages as the authors' own package runs them.

The objects are the ones that `pyautoattack.AutoAttack` holds, called as its `run_standard_evaluation` calls them: each
stage on the examples still robust, after seeding torch with the run's seed. So a chunk's verdicts equal the package's
on the same chunk and seed. The package draws for a whole batch at once, so verdicts depend on the batch; chunks are
therefore never joined (see `per_chunk`).

In L1 the package's standard version has numbers of its own (Croce and Hein 2021, arXiv 2103.01208): five restarts of
APGD-CE and five targets, each beginning in larger balls. They take the place of the suite's.

Differences: the number of targets is at most K - 1. The targeted DLR loss needs the fourth largest logit; with fewer
classes the plain difference of logits `z_t - z_y` takes its place (OUR CHOICE, the same as in our own engine: it does
not saturate, and a ratio over two or three logits is constant for one of the targets). FAB's `backward()` fills
no parameter's gradient. The package's warnings go to its logger `auto-attack`, which shows nothing unless configured.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from pyautoattack import AutoAttack as Package
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor

from bench.attacks.isolation import IsolatedClassifier
from bench.attacks.search import DLR_CLASSES, gap
from bench.core.types import Classifier, Examples, Norm, ThreatModel

__all__ = ["InPackage"]

# Without a handler of its own, Python would print its warnings.
logging.getLogger("auto-attack").addHandler(logging.NullHandler())


_L1_SETTINGS: dict[str, dict[str, Any]] = {
    "apgd": {"use_largereps": True, "n_restarts": 5},
    "apgd_targeted": {"use_largereps": True, "n_target_classes": 5},
}
"""What the package's standard version sets for L1 alone; a suite's own numbers are those of Linf and L2."""


class InPackage:
    """An attack of the package, with the values of its attributes.

    Args:
        attack: as the package's AutoAttack calls it.
        values: what its attributes are set to.
    """

    def __init__(self, attack: Literal["apgd", "apgd_targeted", "fab", "square"], **values: Any) -> None:
        self._attack = attack
        self._values = values

    def run(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the points that it finds for at least one example, `(N, C, H, W)`."""
        package = Package(
            IsolatedClassifier(classifier),
            norm=str(threat_model.norm),
            eps=float(threat_model.epsilon),
            seed=seed,
            device=examples.inputs.device,
            attacks=[],
            version="custom",
        )
        search = vars(package)[self._attack]
        if isinstance(search, APGDAttack):  # its checkpoints are planned for the number of steps that it is made with
            made = {name: getattr(search, name) for name in ("norm", "eps", "device", "logger")}
            search = type(search)(search.model, n_iter=self._values["n_iter"], **made)
        settings = _L1_SETTINGS if threat_model.norm is Norm.L1 else {}
        for name, value in {**self._values, **settings.get(self._attack, {})}.items():
            setattr(search, name, value)
        search.seed = seed
        if "n_target_classes" in self._values:
            with torch.no_grad():
                classes = classifier(examples.inputs[:1]).shape[1]
            search.n_target_classes = min(search.n_target_classes, classes - 1)
            if self._attack == "apgd_targeted" and classes < DLR_CLASSES:
                search.dlr_loss_targeted = lambda logits, labels: gap(logits, labels, search.y_target)
        with _random_state_kept(examples.inputs.device), torch.no_grad():
            found: Tensor = search.perturb(examples.inputs.clone(), examples.labels.clone())
        return found.detach()


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Hand back torch's and NumPy's random state as it was; the package seeds both globally."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
